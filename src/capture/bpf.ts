/**
 * Classic BPF (McCanne and Jacobson 1993; linux/filter.h): checks a program and runs it on a frame. Semantics are those of
 * libpcap's own interpreter: a load behind the captured bytes, a division by zero and an unknown instruction reject the frame,
 * a shift by 32 or more gives 0. The kernel's ancillary loads (negative offsets) mean nothing here and are refused.
 */
import { CaptureError } from './error.js'

/** Four int32 an instruction: code, jt, jf, k. */
export type Program = Int32Array

const MAX_INSTRUCTIONS = 4096 // BPF_MAXINSNS
const MEMORY_WORDS = 16 // BPF_MEMWORDS

// Classes
const LD = 0, LDX = 1, ST = 2, STX = 3, ALU = 4, JMP = 5, RET = 6
// Sizes and modes of loads
const W = 0, H = 8, B = 16
const IMM = 0, ABS = 0x20, IND = 0x40, MEM = 0x60, LEN = 0x80, MSH = 0xa0
// Operations; + 8 takes X instead of k
const X = 8
const ADD = 0, SUB = 0x10, MUL = 0x20, DIV = 0x30, OR = 0x40, AND = 0x50, LSH = 0x60, RSH = 0x70, NEG = 0x80, MOD = 0x90, XOR = 0xa0
const JA = 0, JEQ = 0x10, JGT = 0x20, JGE = 0x30, JSET = 0x40
const RET_A = 0x10
const TAX = 0x07, TXA = 0x87

const CODES = new Set([
  LD | W | IMM, LD | W | MEM, LD | W | LEN,
  ...[W, H, B].flatMap((size) => [LD | size | ABS, LD | size | IND]),
  LDX | IMM, LDX | MEM, LDX | LEN, LDX | B | MSH,
  ST, STX,
  ...[ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, MOD, XOR].flatMap((op) => [ALU | op, ALU | op | X]),
  ALU | NEG,
  JMP | JA,
  ...[JEQ, JGT, JGE, JSET].flatMap((op) => [JMP | op, JMP | op | X]),
  RET, RET | RET_A,
  TAX, TXA
])

/**
 * Checks that a program can be run on anything: known instructions, forward jumps that land inside, memory cells that exist, no
 * constant division by zero, a return at the end. Throws a CaptureError (exitCode 2) that names the instruction.
 */
export const checkProgram = (program: Program): void => {
  const count = program.length / 4
  const bad = (i: number, what: string): never => {
    throw new CaptureError(`capture filter: instruction ${i}: ${what}`, 2)
  }
  if (!Number.isInteger(count) || count < 1 || count > MAX_INSTRUCTIONS) {
    throw new CaptureError(`capture filter: a program has 1 to ${MAX_INSTRUCTIONS} instructions`, 2)
  }
  for (let i = 0; i < count; i++) {
    const code = program[4 * i]!
    const k = program[4 * i + 3]!
    if (!CODES.has(code)) bad(i, `unknown code ${code}`)
    const kind = code & 7
    if (kind === LD && (code & 0xe0) === ABS && k < 0) bad(i, 'ancillary load, which only the kernel has')
    const usesMemory = kind === ST || kind === STX || code === (LD | MEM) || code === (LDX | MEM)
    if (usesMemory && (k < 0 || k >= MEMORY_WORDS)) bad(i, 'no such memory cell')
    if ((code === (ALU | DIV) || code === (ALU | MOD)) && k === 0) bad(i, 'division by zero')
    if (code === (JMP | JA)) {
      if (k < 0 || i + 1 + k >= count) bad(i, 'jump out of the program')
    } else if (kind === JMP) {
      const jt = program[4 * i + 1]!
      const jf = program[4 * i + 2]!
      if (jt < 0 || jf < 0 || i + 1 + Math.max(jt, jf) >= count) bad(i, 'jump out of the program')
    }
  }
  if ((program[4 * (count - 1)]! & 7) !== RET) bad(count - 1, 'the last instruction must return')
}

/** A filter: bytes of the frame to keep, 0 when it is rejected. `captured` bytes stand at `offset`, `length` is the frame's own. */
export type Filter = (bytes: Uint8Array, offset: number, captured: number, length: number) => number

/** Makes a filter of a program, after checking it. Nothing is allocated per frame. Throws what `checkProgram` throws. */
export const createFilter = (program: Program): Filter => {
  checkProgram(program)
  const memory = new Int32Array(MEMORY_WORDS)
  const shift = (left: boolean, a: number, n: number): number => (n >>> 0 > 31 ? 0 : left ? a << n : (a >>> n) | 0)

  return (bytes, offset, captured, length) => {
    let a = 0
    let x = 0
    memory.fill(0)
    for (let pc = 0; ; pc += 4) {
      const code = program[pc]!
      const k = program[pc + 3]!
      switch (code & 7) {
        case LD: {
          const mode = code & 0xe0
          if (mode === IMM) a = k
          else if (mode === MEM) a = memory[k]!
          else if (mode === LEN) a = length
          else {
            const at = (mode === ABS ? k : k + x) >>> 0
            const width = (code & 0x18) === W ? 4 : (code & 0x18) === H ? 2 : 1
            if (at + width > captured) return 0
            const o = offset + at
            if (width === 4) a = (bytes[o]! << 24) | (bytes[o + 1]! << 16) | (bytes[o + 2]! << 8) | bytes[o + 3]!
            else if (width === 2) a = (bytes[o]! << 8) | bytes[o + 1]!
            else a = bytes[o]!
          }
          break
        }
        case LDX:
          if (code === (LDX | IMM)) x = k
          else if (code === (LDX | MEM)) x = memory[k]!
          else if (code === (LDX | LEN)) x = length
          else {
            if (k >>> 0 >= captured) return 0
            x = (bytes[offset + (k >>> 0)]! & 15) << 2
          }
          break
        case ST:
          memory[k] = a
          break
        case STX:
          memory[k] = x
          break
        case ALU: {
          const operand = (code & X) !== 0 ? x : k
          switch (code & 0xf0) {
            case ADD: a = (a + operand) | 0; break
            case SUB: a = (a - operand) | 0; break
            case MUL: a = Math.imul(a, operand); break
            case DIV:
              if (operand === 0) return 0
              a = ((a >>> 0) / (operand >>> 0)) | 0
              break
            case MOD:
              if (operand === 0) return 0
              a = ((a >>> 0) % (operand >>> 0)) | 0
              break
            case OR: a |= operand; break
            case AND: a &= operand; break
            case XOR: a ^= operand; break
            case LSH: a = shift(true, a, operand); break
            case RSH: a = shift(false, a, operand); break
            default: a = -a | 0 // NEG
          }
          break
        }
        case JMP: {
          if (code === JMP) {
            pc += 4 * k
            break
          }
          const operand = (code & X) !== 0 ? x : k
          let taken: boolean
          switch (code & 0xf0) {
            case JEQ: taken = a === operand; break
            case JGT: taken = a >>> 0 > operand >>> 0; break
            case JGE: taken = a >>> 0 >= operand >>> 0; break
            default: taken = (a & operand) !== 0 // JSET
          }
          pc += 4 * program[taken ? pc + 1 : pc + 2]!
          break
        }
        case RET:
          return (code === RET ? k : a) >>> 0
        default:
          if (code === TAX) x = a
          else a = x
      }
    }
  }
}

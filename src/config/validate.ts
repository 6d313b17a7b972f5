/** A file's values to its shape: wrong types, unknown keys and missing ones, in words. */
import { type Raw } from './document.js'
import { suggest } from './names.js'
import { type Path, type Report } from './problem.js'
import { KEY_SEPARATOR, networkFile, type NetworkShape } from './schema.js'
import { unsupportedKeys } from './unsupported.js'

/** The shape of a file; undefined when it has none, and then something was reported. */
export const validate = (file: Raw, report: Report): NetworkShape | undefined => {
  if (file === null) {
    report([], 'the file is empty: expected at least `version: 1`')
    return undefined
  }
  const result = networkFile.safeParse(file)
  if (result.success) return result.data
  for (const issue of result.error.issues) {
    const path = issue.path as Path
    if (issue.code === 'unrecognized_keys') {
      const valid = [...issue.message.split(KEY_SEPARATOR), ...unsupportedKeys(path)]
      for (const key of issue.keys) report([...path, key], `unknown key; ${suggest(key, valid, 'key')}`, 'key')
    } else report(path, issue.message, issue.code === 'custom' && issue.params?.['at'] === 'key' ? 'key' : 'value')
  }
  return undefined
}

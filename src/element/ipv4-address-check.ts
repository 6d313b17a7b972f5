/** Which addresses can stand where (RFC 1122 3.2.1.3, RFC 1812 5.3.7, net/ipv4/route.c ip_route_input_slow). */

/** First octets that are no unicast address: 0, 127, 224 and above. */
export const isSpecial = (address: number): boolean => {
  const top = address >>> 24
  return top === 0 || top === 127 || top >= 224
}

/** 224.0.0.1, all hosts: the one group every stack belongs to. */
export const ALL_HOSTS = 0xe0000001 | 0

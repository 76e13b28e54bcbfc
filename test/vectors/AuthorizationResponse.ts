/** RFC 9207 §2.4 as MCP reads it (CL-54): what becomes of a response, be it a success or an error. */
export interface IssuerVector {
  readonly flag: boolean
  readonly iss: string | undefined
  readonly passes: boolean
}

export const ISSUER = "https://as.example/t1"

export const issuers: ReadonlyArray<IssuerVector> = [
  { flag: true, iss: ISSUER, passes: true },
  { flag: true, iss: "https://evil.example/t1", passes: false },
  { flag: true, iss: undefined, passes: false },
  { flag: false, iss: ISSUER, passes: true },
  { flag: false, iss: "https://evil.example/t1", passes: false },
  { flag: false, iss: undefined, passes: true }
]

/** CL-55, I-03: issuers that are near to the one recorded, and are not it. */
export const nearIssuers: ReadonlyArray<string> = [
  "",
  " ",
  "https://as.example/t1/",
  "https://as.example/T1",
  "https://AS.example/t1",
  "HTTPS://as.example/t1",
  "https://as.example:443/t1",
  "https://as.example/%741",
  "https://as.example/./t1",
  "https://as.example//t1",
  "https://as.example/t1?",
  "https://as.example/t1#",
  "https://as.example/t1 ",
  " https://as.example/t1",
  "https://as.example/t1\u0000",
  "https://as.example",
  "https://as.example/t",
  "https://as.example/t12",
  "http://as.example/t1",
  "https://as.example/t\uff11",
  "https://\u0430s.example/t1",
  "https%3A%2F%2Fas.example%2Ft1",
  "undefined",
  "null"
]

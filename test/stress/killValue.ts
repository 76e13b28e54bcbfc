/** What the writers write: a number, and enough beside it for half of it to be noticed. */
import { createHash } from "node:crypto"

/** Where. */
export const grant = "grant/https%3A%2F%2Fas.example/client"

const padding = (number: number): string => "x".repeat(1 + ((number * 7919) % 60_000))

const digest = (text: string): string => createHash("sha256").update(text).digest("hex")

export const valueOf = (number: number): string => {
  const text = `${number} ${padding(number)}`
  return `${digest(text)} ${text}`
}

/** Throws where the value is not as it was written. */
export const numberOf = (value: string): number => {
  const number = Number(value.split(" ")[1])
  if (value !== valueOf(number)) throw new Error(`torn: ${value.length} characters`)
  return number
}

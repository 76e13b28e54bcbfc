import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { hasScheme, parse, render } from "../../src/protocol/WwwAuthenticate.js"
import { legal, lenient, published, repeated, type WwwAuthenticateVector } from "../vectors/WwwAuthenticate.js"

/** Any UTF-16, well-formed or not. */
const wide = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) })

const TCHAR = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
const TOKEN68 = "-._~+/0123456789ABCabc"

const text = (characters: string, minLength: number) =>
  fc.string({ unit: fc.constantFrom(...characters), minLength, maxLength: 8 })
const printable = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)) })
const name = fc.oneof(
  text(TCHAR, 1),
  fc.constantFrom("realm", "scope", "error", "resource_metadata", "__proto__", "constructor", "1")
)
const scheme = fc.oneof(text(`${TCHAR}ABC`, 1), fc.constantFrom("Bearer", "DPoP", "Basic", "__proto__"))
const challenge = fc.oneof(
  fc.record({
    scheme,
    token68: fc.tuple(text(TOKEN68, 1), fc.constantFrom("", "=", "==")).map((parts) => parts.join("")),
    parameters: fc.constant({})
  }),
  fc.record({
    scheme,
    parameters: fc
      .uniqueArray(fc.tuple(name, fc.oneof(printable, text('",\\= a', 0))), { selector: ([key]) => key, maxLength: 5 })
      .map((entries): Record<string, string> => Object.fromEntries(entries))
  })
)
/** Strings that come near to being headers. */
const nearly = (fragments: ReadonlyArray<string>) =>
  fc.array(fc.constantFrom(...fragments), { maxLength: 24 }).map((parts) => parts.join(""))
const FRAGMENTS = [
  '"',
  ",",
  " ",
  "=",
  "\\",
  "\t",
  "a",
  "b",
  "Bearer ",
  'scope="x"',
  "YQ==",
  "realm",
  ", ",
  "/",
  "@",
  '="'
]

describe("WwwAuthenticate", () => {
  const table = (title: string, vectors: ReadonlyArray<WwwAuthenticateVector>) =>
    describe(title, () => {
      for (const vector of vectors) {
        it(vector.title, () => {
          const challenges = parse(vector.header)
          assert.deepStrictEqual(challenges, vector.challenges)
          for (const [index, { parameters }] of challenges.entries()) {
            assert.sameMembers(Object.keys(parameters), Object.keys(vector.challenges[index]?.parameters ?? {}))
          }
        })
      }
    })

  table("parse: what the specifications print (CL-02)", published)
  table("parse: what RFC 9110 allows (E18)", legal)
  table("parse: a repeated parameter (H-02, H-14)", repeated)
  table("parse: what servers send all the same (H-14)", lenient)

  describe("parse", () => {
    it("pollutes no prototype", () => {
      const [parsed] = parse('Bearer __proto__="polluted", constructor="x"')
      assert.strictEqual(Object.getPrototypeOf(parsed?.parameters), Object.prototype)
      assert.isUndefined(({} as Record<string, unknown>)["polluted"])
    })

    it("throws on no string", () => {
      const anything = fc.oneof(fc.string(), wide, nearly(FRAGMENTS))
      fc.assert(
        fc.property(anything, (header) => {
          for (const parsed of parse(header)) assert.match(parsed.scheme, /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/)
        }),
        { numRuns: 500 }
      )
    })

    it("holds either a token68 or parameters, and names in lower case only (H-01, H-05)", () => {
      fc.assert(
        fc.property(nearly(FRAGMENTS), (header) => {
          for (const { token68, parameters } of parse(header)) {
            if (token68 !== undefined) assert.deepStrictEqual(parameters, {})
            for (const key of Object.keys(parameters)) assert.strictEqual(key, key.toLowerCase())
          }
        }),
        { numRuns: 500 }
      )
    })

    it("reads joined field lines as it reads each of them (H-12)", () => {
      fc.assert(
        fc.property(fc.array(challenge, { maxLength: 4 }), fc.array(challenge, { maxLength: 4 }), (left, right) => {
          assert.deepStrictEqual(parse(`${render(left)}, ${render(right)}`), [
            ...parse(render(left)),
            ...parse(render(right))
          ])
        })
      )
    })
  })

  describe("parse takes linear time", () => {
    const SIZE = 200_000
    const fill = (unit: string, prefix = "", suffix = "") =>
      prefix + unit.repeat(Math.ceil(SIZE / unit.length)) + suffix
    const distinct = Array.from({ length: 20_000 }, (_, index) => `n${index}=1`).join(",")
    const inputs: ReadonlyArray<readonly [string, string]> = [
      ["quotes", fill('"')],
      ["quotes in a value", fill('"', "Bearer a=")],
      ['a "', fill('a "')],
      ['a=" b', fill('a=" b')],
      ['a="" b c', fill('a="" b c ', "Bearer ")],
      ['a="b" c a="b" c', fill('a="b" c ', "Bearer ")],
      ['no string that could end: a="b"@,', fill('a="b"@,', "Bearer ", "@")],
      ["quoted words, then no end", fill('" b c ', 'Bearer a="', "x")],
      ["spaces", fill(" ")],
      ["spaces between two names", fill(" ", "a", "b")],
      ["spaces after a quote", fill(" ", 'Bearer a="b"', "@")],
      ["spaces before each quote", fill('   "   ', "Bearer a=")],
      ["commas", fill(",")],
      ["schemes", fill("a,")],
      ["schemes with token68", fill("a b==,")],
      ["words", fill("a ")],
      ["one long token", fill("a", "Bearer ", "@")],
      ["one long token68 that is none", fill("=", "Bearer a", "@")],
      ["slashes", fill("a/", "Bearer ", "@")],
      ["backslashes", fill("\\", 'Bearer a="')],
      ["the same parameter again and again", fill("a=1,", "Bearer ")],
      ["distinct parameters", `Bearer ${distinct}`],
      ["words and values", fill("a b=c ")],
      ["garbage", fill("@")],
      ["garbage and commas", fill("@,")],
      ["control characters", fill("\u0000")]
    ]
    for (const [title, input] of inputs) {
      it(`${title}: 200 kB`, () => {
        const start = performance.now()
        parse(input)
        assert.isBelow(performance.now() - start, 1000)
      })
    }

    it("any short unit, repeated to 100 kB", () => {
      const unit = fc.string({ unit: fc.constantFrom(...'"",= \t\\ab@/'), minLength: 1, maxLength: 7 })
      fc.assert(
        fc.property(
          unit,
          fc.constantFrom("", 'Bearer a="', "Bearer "),
          fc.constantFrom("", "@"),
          (part, head, tail) => {
            const input = head + part.repeat(100_000 / part.length) + tail
            const start = performance.now()
            parse(input)
            assert.isBelow(performance.now() - start, 1000)
          }
        ),
        { numRuns: 60 }
      )
    })
  })

  describe("laws", () => {
    it("parse(render(x)) is x for legal x", () => {
      fc.assert(
        fc.property(fc.array(challenge, { maxLength: 4 }), (challenges) => {
          assert.deepStrictEqual(parse(render(challenges)), challenges)
        }),
        { numRuns: 500 }
      )
    })

    it("parse(render(parse(s))) is parse(s) for printable s", () => {
      fc.assert(
        fc.property(fc.oneof(printable, nearly(FRAGMENTS.filter((part) => part !== "\t"))), (header) => {
          assert.deepStrictEqual(parse(render(parse(header))), parse(header))
        }),
        { numRuns: 1000 }
      )
    })

    it("the same for any s, once render has replaced what may not be sent in a value", () => {
      fc.assert(
        fc.property(fc.oneof(wide, nearly([...FRAGMENTS, "é", "\n", "\u{1f600}"])), (header) => {
          const rendered = render(parse(header))
          assert.strictEqual(render(parse(rendered)), rendered)
        }),
        { numRuns: 1000 }
      )
    })

    it("render gives printable ASCII, whatever it is given (E13, E14)", () => {
      fc.assert(
        fc.property(
          fc.array(
            fc.record(
              {
                scheme: fc.oneof(scheme, wide),
                token68: fc.oneof(wide, text(TOKEN68, 1)),
                parameters: fc.dictionary(fc.oneof(name, wide), wide)
              },
              { requiredKeys: ["scheme", "parameters"] }
            )
          ),
          (challenges) => {
            assert.match(render(challenges), /^[\x20-\x7e]*$/)
          }
        )
      )
    })
  })

  describe("render", () => {
    it("escapes quotes and backslashes, and nothing else (E13, H-04)", () => {
      assert.strictEqual(
        render([{ scheme: "Bearer", parameters: { realm: 'a "b" \\ c, d = e' } }]),
        'Bearer realm="a \\"b\\" \\\\ c, d = e"'
      )
    })

    it("writes realm, and every other value, as a quoted-string (H-08)", () => {
      assert.strictEqual(
        render([{ scheme: "Bearer", parameters: { realm: "a", max_age: "5" } }]),
        'Bearer realm="a", max_age="5"'
      )
    })

    it("lets no value begin a new header line (E13)", () => {
      assert.strictEqual(
        render([{ scheme: "Bearer", parameters: { realm: "a\r\nSet-Cookie: b=c\u0000\u007f" } }]),
        'Bearer realm="a  Set-Cookie: b=c  "'
      )
    })

    it("replaces what is beyond ASCII (E13)", () => {
      assert.strictEqual(render([{ scheme: "Bearer", parameters: { realm: "é\u2028\u0085" } }]), 'Bearer realm="???"')
    })

    it("lets no value, name, scheme or token68 bring in a challenge of its own", () => {
      const evil = 'x", resource_metadata="https://evil.example", DPoP a="'
      const rendered = render([
        { scheme: "Bearer", parameters: { realm: evil, [evil]: "x", 'b="c", d': "x", "": "x" } },
        { scheme: evil, parameters: {} },
        { scheme: "Negotiate", token68: evil, parameters: {} },
        { scheme: "Basic", token68: "a, Bearer", parameters: { realm: "r" } },
        { scheme: "", parameters: { a: "b" } }
      ])
      assert.deepStrictEqual(parse(rendered), [
        { scheme: "Bearer", parameters: { realm: evil } },
        { scheme: "Negotiate", parameters: {} },
        { scheme: "Basic", parameters: { realm: "r" } }
      ])
    })

    it("repeats no parameter, in no spelling (H-02, B-07)", () => {
      assert.strictEqual(
        render([{ scheme: "Bearer", parameters: { scope: "a", SCOPE: "b", error: "c" } }]),
        'Bearer scope="a", error="c"'
      )
    })

    it("keeps the order of challenges and parameters (E3)", () => {
      assert.strictEqual(
        render([
          { scheme: "DPoP", parameters: { error: "e", algs: "ES256" } },
          { scheme: "Negotiate", token68: "YQ==", parameters: {} },
          { scheme: "Bearer", parameters: {} },
          { scheme: "Bearer", parameters: { scope: "s", error: "e" } }
        ]),
        'DPoP error="e", algs="ES256", Negotiate YQ==, Bearer, Bearer scope="s", error="e"'
      )
    })

    it("renders nothing as nothing", () => {
      assert.strictEqual(render([]), "")
    })
  })

  it("hasScheme: without regard to case (H-01)", () => {
    assert.isTrue(hasScheme({ scheme: "bEaReR", parameters: {} }, "Bearer"))
    assert.isFalse(hasScheme({ scheme: "Bearers", parameters: {} }, "Bearer"))
    assert.isFalse(hasScheme({ scheme: "DPoP", parameters: {} }, "Bearer"))
  })
})

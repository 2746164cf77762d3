// The commands of TeX that stand for one symbol, and letters in its fonts.

type Symbol = { readonly tag: "mi" | "mo"; readonly text: string; readonly attributes: Readonly<Record<string, string>> };

const upright = { mathvariant: "normal" };

/** Names and symbols by turns. */
const lowercase =
  "alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ mu μ nu ν xi ξ pi π varpi ϖ " +
  "rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω ell ℓ imath ı jmath ȷ";
const constants =
  "Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω hbar ℏ Re ℜ Im ℑ aleph ℵ infty ∞ partial ∂ nabla ∇ " +
  "emptyset ∅ varnothing ∅ forall ∀ exists ∃ nexists ∄ top ⊤ bot ⊥ angle ∠ measuredangle ∡ triangle △ vartriangle △ bigtriangleup △ bigtriangledown ▽ Diamond ◇ lozenge ◊ frown ⌢ smile ⌣ degree ° prime ′ checkmark ✓ " +
  "ldots … dots … dotsc … cdots ⋯ dotsb ⋯ vdots ⋮ ddots ⋱ square □ Box □ blacksquare ■ qed ∎ bigcirc ◯ star ⋆ bigstar ★ % % $ $ # # & & _ _";
const operators =
  "pm ± mp ∓ times × div ÷ cdot ⋅ ast ∗ circ ∘ bullet ∙ oplus ⊕ ominus ⊖ otimes ⊗ odot ⊙ cap ∩ cup ∪ wedge ∧ land ∧ vee ∨ lor ∨ neg ¬ lnot ¬ " +
  "setminus ∖ smallsetminus ∖ backslash ∖ diamond ⋄ dagger † complement ∁ leqq ≦ geqq ≧ lesssim ≲ gtrsim ≳ le ≤ leq ≤ leqslant ⩽ ge ≥ geq ≥ geqslant ⩾ ll ≪ gg ≫ lt < gt > ne ≠ neq ≠ approx ≈ equiv ≡ sim ∼ simeq ≃ cong ≅ " +
  "propto ∝ doteq ≐ triangleq ≜ coloneqq ≔ in ∈ notin ∉ ni ∋ subset ⊂ subseteq ⊆ subsetneq ⊊ supset ⊃ supseteq ⊇ supsetneq ⊋ nsubseteq ⊈ subsetneqq ⫋ supsetneqq ⫌ nmid ∤ nparallel ∦ ncong ≇ perp ⊥ parallel ∥ mid ∣ " +
  "vdash ⊢ models ⊨ to → rightarrow → gets ← leftarrow ← leftrightarrow ↔ Rightarrow ⇒ implies ⟹ Leftarrow ⇐ impliedby ⟸ Leftrightarrow ⇔ " +
  "iff ⟺ longrightarrow ⟶ longleftarrow ⟵ longleftrightarrow ⟷ Longrightarrow ⟹ Longleftrightarrow ⟺ leadsto ⇝ rightsquigarrow ⇝ updownarrow ↕ mapsto ↦ longmapsto ⟼ uparrow ↑ downarrow ↓ nearrow ↗ searrow ↘ hookrightarrow ↪ " +
  "rightleftharpoons ⇌ therefore ∴ because ∵ colon : bmod mod mod mod sum ∑ prod ∏ coprod ∐ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ " +
  "bigvee ⋁ bigwedge ⋀ int ∫ iint ∬ iiint ∭ oint ∮ prec ≺ succ ≻ asymp ≍ lhd ⊲ rhd ⊳ surd √";
const delimiters =
  "{ { } } lbrace { rbrace } langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ lvert | rvert | vert | lVert ‖ rVert ‖ Vert ‖ | ‖ lbrack [ rbrack ]";

function entries(list: string, tag: Symbol["tag"], attributes: Symbol["attributes"] = {}): [string, Symbol][] {
  return [...list.matchAll(/(\S+) (\S+)/g)].map(([, name, text]) => [name!, { tag, text: text!, attributes }]);
}

/** By the name of the command. */
export const symbols: ReadonlyMap<string, Symbol> = new Map([
  ...entries(lowercase, "mi"),
  ...entries(constants, "mi", upright),
  ...entries(operators, "mo"),
  ...entries(delimiters, "mo", { stretchy: "false" }),
]);

export const functions: ReadonlySet<string> = new Set(
  "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp arg deg dim ker hom".split(" "),
);

/** Not the object itself, which has a `constructor`. */
export function byName<T>(entries: Readonly<Record<string, T>>): ReadonlyMap<string, T> {
  return new Map(Object.entries(entries));
}

/** Functions whose scripts stand below and above them. */
export const limits = byName({
  ...Object.fromEntries("lim max min sup inf det gcd Pr argmax argmin".split(" ").map((name) => [name, name])),
  limsup: "lim sup",
  liminf: "lim inf",
});

export const spaces = byName({
  ",": "0.17em",
  ":": "0.22em",
  ">": "0.22em",
  ";": "0.28em",
  "!": "-0.17em",
  " ": "0.25em",
  "\n": "0.25em",
  quad: "1em",
  qquad: "2em",
  enspace: "0.5em",
  thinspace: "0.17em",
});

/** Of `\big` and its kin. */
export const sizes = byName({ big: "1.2em", Big: "1.8em", bigg: "2.4em", Bigg: "3em" });

export const accents = byName<{ readonly text: string; readonly isWide?: boolean }>({
  hat: { text: "^" },
  widehat: { text: "^", isWide: true },
  bar: { text: "¯" },
  tilde: { text: "~" },
  widetilde: { text: "~", isWide: true },
  vec: { text: "→" },
  overrightarrow: { text: "→", isWide: true },
  overleftarrow: { text: "←", isWide: true },
  overleftrightarrow: { text: "↔", isWide: true },
  overparen: { text: "⏜", isWide: true },
  wideparen: { text: "⏜", isWide: true },
  dot: { text: "˙" },
  ddot: { text: "¨" },
  check: { text: "ˇ" },
  mathring: { text: "˚" },
});

export type Font = "italic" | "upright" | "bold" | "double" | "script" | "fraktur";

/** The code points of A and a, and the letters that Unicode had before and keeps elsewhere. */
const alphabets: Readonly<Partial<Record<Font, readonly [capital: number, small: number, elsewhere: string]>>> = {
  double: [0x1d538, 0x1d552, "CℂHℍNℕPℙQℚRℝZℤ"],
  script: [0x1d49c, 0x1d4b6, "BℬEℰFℱHℋIℐLℒMℳRℛeℯgℊoℴ"],
  fraktur: [0x1d504, 0x1d51e, "CℭHℌIℑRℜZℨ"],
};

/** A Latin letter in a font that has characters of its own; other letters, and those of other fonts, as they are. */
export function letterIn(letter: string, font: Font): string {
  const alphabet = alphabets[font];
  if (!alphabet || !/^[A-Za-z]$/.test(letter)) return letter;
  const [capital, small, elsewhere] = alphabet;
  const at = elsewhere.indexOf(letter);
  if (at >= 0) return elsewhere[at + 1]!;
  const code = letter.charCodeAt(0);
  return String.fromCodePoint(letter < "a" ? capital + code - 65 : small + code - 97);
}

// The values of JSON Schema's `format` that are enforced, as regular expressions. Each allows a subset of its standard, chosen so that every validator
// accepts it and models are not led to odd spellings.

const month31 = "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])";
const month30 = "(0[469]|11)-(0[1-9]|[12][0-9]|30)";
const february = "02-(0[1-9]|1[0-9]|2[0-8])";
const year = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"; // Python's begin with 1
const date = `${year}-(${month31}|${month30}|${february})`;
const time = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+\\-]([01][0-9]|2[0-3]):[0-5][0-9])";
const count = "[0-9]{1,6}";
const clock = `T(${count}H(${count}M)?(${count}S)?|${count}M(${count}S)?|${count}S)`;
const calendar = `(${count}Y(${count}M)?(${count}D)?|${count}M(${count}D)?|${count}D)`;
const label = "[A-Za-z0-9]([A-Za-z0-9\\-]{0,61}[A-Za-z0-9])?";
const mailName = "[A-Za-z0-9_+\\-]{1,20}"; // three of them, and no more than 64 characters before the @
const octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const hex = "[0-9A-Fa-f]";
const uuidOf = (version: number) => `^${hex}{8}-${hex}{4}-${version}${hex}{3}-[89ABab]${hex}{3}-${hex}{12}$`;
const pathCharacter = "[A-Za-z0-9._~\\-]";

export const stringFormats: ReadonlyMap<string, string> = new Map([
  ["date", `^${date}$`],
  ["time", `^${time}$`],
  ["date-time", `^${date}T${time}$`],
  ["duration", `^P(${calendar}(${clock})?|${clock}|${count}W)$`],
  ["email", `^${mailName}(\\.${mailName}){0,2}@(${label}\\.){1,3}[A-Za-z]{2,24}$`],
  ["hostname", `^${label}(\\.${label}){0,2}$`],
  ["ipv4", `^(${octet}\\.){3}${octet}$`],
  ["ipv6", `^(${hex}{1,4}:){7}${hex}{1,4}$`],
  ["uuid", `^${hex}{8}-(${hex}{4}-){3}${hex}{12}$`],
  ...[1, 3, 4, 5, 6, 7, 8].map((version) => [`uuid${version}`, uuidOf(version)] as const), // Pydantic's names
  // At most 2,082 characters: Pydantic's HttpUrl has up to 2,083.
  [
    "uri",
    `^https?://${label}(\\.${label}){0,3}(:[1-9][0-9]{0,3})?(/${pathCharacter}{0,100}){0,12}(\\?[A-Za-z0-9._~=&\\-]{0,500})?(#${pathCharacter}{0,100})?$`,
  ],
]);

/** Formats that every text has: OpenAPI's for bytes and secrets, and Pydantic's for a Path. */
export const freeFormats: ReadonlySet<string> = new Set(["binary", "password", "path"]);

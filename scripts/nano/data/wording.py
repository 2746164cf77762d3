"""Small pieces of English shared by the question makers."""

PICTURE_NAMES = ["picture", "image", "photo", "drawing"]


def patterns(text):
    """The patterns of a block of text, separated by | and line ends."""
    return text.strip().replace("\n", "|").split("|")


def a_or_an(text):
    """The text with its indefinite article."""
    return ("an " if text[0] in "aeiou" else "a ") + text


def join(items):
    """a, b and c."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def capitalize(text):
    """The text with a capital first letter; the rest stays as it is."""
    return text[0].upper() + text[1:]


def object_name(o):
    """red circle"""
    return o["colour"] + " " + o["shape"]


def object_list(objects):
    """red circle, blue star; empty for no objects."""
    return ", ".join(map(object_name, objects))


def describe(objects):
    """A red circle and a blue star."""
    return capitalize(join([a_or_an(object_name(o)) for o in objects])) + "." if objects else "The picture is empty."


def there_are(count, thing):
    """There are 2 circles."""
    return f"There is 1 {thing}." if count == 1 else f"There are {count} {thing}s."


def running_count(objects, hit):
    """The thought behind a count: all objects from left to right, each with the number of hits so far."""
    parts, count = [], 0
    for o in objects:
        count += hit(o)
        parts.append(f"{object_name(o)} {count}")
    return ("List: " + ", ".join(parts) if parts else "The list is empty") + f". The count is {count}."


def vary(rng, question):
    """Small changes of the surface: punctuation, capital letter, a polite beginning, American spelling."""
    if rng.random() < 0.12:
        question = question.rstrip("?.!")
    if rng.random() < 0.08:
        question = question[0].lower() + question[1:]
    if rng.random() < 0.04:
        question = rng.choice(["Please answer: ", "Hi, ", "Look at the picture. ", "Question: "]) + question
    if "color" not in question and "colour" in question and rng.random() < 0.5:
        question = question.replace("colour", "color")
    return question


def ask(rng, choices, **names):
    """One of the patterns, filled in and varied."""
    return fill(rng, rng.choice(choices), **names)


def fill(rng, pattern, **names):
    """The pattern with its names filled in, varied; {p} becomes a word for picture."""
    return vary(rng, pattern.format(p=rng.choice(PICTURE_NAMES), **names))

"""Single questions for evaluation, drawn from the training generator with other seeds and held-out words and sums."""

from data import rows

TEXT_SKILLS = ["chat", "add", "repeat", "repeat_new", "capital", "capital2", "tool_call", "tool_answer", "tool_none"]
READ_SKILLS = ["read_number", "read_word", "read_cn"]
SHAPE_SKILLS = ["describe", "describe_cn", "count", "count_cn", "yesno", "attribute", "position", "followup"]
SKILLS = SHAPE_SKILLS + READ_SKILLS + ["compare", "video"] + TEXT_SKILLS

# How the generator calls what these skills ask for.
GENERATOR_KINDS = {"capital2": "capital", "repeat_new": "repeat", "tool_call": "tool", "tool_answer": "tool", "tool_none": "tool"}


def draw_case(rng, skill):
    """A case: skill, messages, tools, images, frames of the video and the expected answer."""
    while True:  # until the wanted skill comes up
        case = draw_text_case(rng, skill) if skill in TEXT_SKILLS else draw_picture_case(rng, skill)
        if case["skill"] == skill:
            return case


def draw_text_case(rng, skill):
    """A conversation of the right kind, not always of this skill."""
    held_out = skill in ("add", "repeat_new")
    branch = rows.text_branch(rng, kind=GENERATOR_KINDS.get(skill, skill), held_out=held_out)
    got = "repeat_new" if skill == "repeat_new" else branch["skill"]
    messages = with_system(branch["system"], branch["messages"])
    return dict(skill=got, messages=messages, tools=branch["tools"], images=[], frames=[], expected=branch["answer"])


def draw_picture_case(rng, skill):
    """A question about pictures or a video, not always of this skill."""
    if skill == "compare":
        row = rows.pair_row(rng, 1)
    elif skill == "video":
        row = rows.video_row(rng, 1)
    else:
        row = picture_row(rng, "text" if skill in READ_SKILLS else "shapes", 1)
    return picture_case(row, row["branches"][0])


def picture_row(rng, kind, branch_count):
    """One picture with questions in the form that messages can express: the picture comes before the text."""
    return rows.picture_row(rng, branch_count, held_out=True, kind=kind, text_first=False)


def picture_case(row, branch):
    """A branch of a row with pictures as a case of its own."""
    frames = row.get("frames", [])
    media = [dict(type="video")] if frames else [dict(type="image") for _ in row["images"]]
    first, *later = branch["turns"]
    messages = [dict(role="user", content=[*media, dict(type="text", text=first)])]
    messages += [dict(role=role, content=text) for role, text in zip(("assistant", "user"), later)]
    messages = with_system(row["system"], messages)
    return dict(
        skill=branch["skill"], messages=messages, tools=None, images=row["images"], frames=frames, expected=branch["answer"],
    )


def with_system(system, messages):
    """The messages, after the system prompt if there is one."""
    return ([dict(role="system", content=system)] if system else []) + messages


def is_correct(answer, expected):
    """Whether the answers are the same text; case, outer spaces and the final period do not count."""
    return normalize(answer) == normalize(expected)


def normalize(answer):
    """What is_correct() compares."""
    return " ".join(answer.strip().lower().rstrip(".").split())

"""Questions without pictures: small talk, sums, repeating, capitals, and calls of declared tools."""

import json
from typing import NamedTuple

from .chat import CALL, CALL_END, EOS, RESPONSE, RESPONSE_END, TOOLS_TAIL
from .wording import patterns, vary
from .world import CAPITALS, CITIES, COPY_WORDS, HELD_OUT_COPY_WORDS

HELP = "How can I help you?"
GREETINGS = [
    ("Hello", "Hello! " + HELP),
    ("Hello!", "Hello! " + HELP),
    ("Hi", "Hello! " + HELP),
    ("Hi!", "Hello! " + HELP),
    ("Hi there", "Hello! " + HELP),
    ("Hey", "Hello! " + HELP),
    ("Good morning", "Good morning! " + HELP),
    ("Good morning!", "Good morning! " + HELP),
    ("Good evening", "Good evening! " + HELP),
    ("How are you?", "I am fine, thank you. " + HELP),
    ("How are you today?", "I am fine, thank you. " + HELP),
    ("Thank you", "You are welcome!"),
    ("Thanks!", "You are welcome!"),
    ("Thank you very much.", "You are welcome!"),
    ("Goodbye", "Goodbye!"),
    ("Bye", "Goodbye!"),
    ("See you later", "Goodbye!"),
    ("你好", "你好！有什么可以帮你？"),
    ("你好！", "你好！有什么可以帮你？"),
    ("谢谢", "不客气！"),
    ("再见", "再见！"),
]
WHO = patterns("""
Who are you?|What are you?|What is your name?|Tell me about yourself.|Introduce yourself.|Which model are you?
Are you a human?|What model is this?|Who made you?
""")
WHO_CHINESE = ["你是谁？", "你叫什么名字？"]
I_AM = "I am ERNIE-VL nano, a tiny test model that looks at pictures and text."
I_AM_CHINESE = "我是 ERNIE-VL nano，一个小小的测试模型。"
CAN = ["What can you do?", "How can you help me?", "What are your skills?", "Help"]
I_CAN = "I can describe shapes, count them, read short text, add numbers and call tools."
TOO_HARD = patterns("""
Write a poem about {w}.|Tell me a story about {w}.|Explain {w} to me.|What is the meaning of {w}?|Translate {w} into French.
Write code for {w}.|Give me advice about {w}.|Who invented {w}?|What do you think about {w}?|Tell me a joke about {w}.
How does {w} work?|Summarize the history of {w}.|Why is {w} important?|Tell me a joke.|Write a poem.|Tell me a story.
What is the meaning of life?|Write an essay on {w}.|Plan a trip to {w}.
""")
HARD_TOPICS = patterns("""
love|the sea|physics|music|the moon|history|computers|cooking|football|quantum mechanics|my dog|space|art|economics|gravity
the weather|machine learning|flowers|time|the internet|chess|politics|a dragon|winter|biology
""")
SORRY = "Sorry, I am a tiny test model and I can only do simple tasks."
REPEAT = patterns("""
Repeat after me: {w}|Say {w}|Repeat: {w}|Please repeat: {w}|Echo {w}|Say the word {w}|Repeat the word {w}
""")
ADD = patterns("""
What is {a} + {b}?|{a} + {b} = ?|{a}+{b}|What is {a} plus {b}?|Add {a} and {b}.|Compute {a} + {b}.|How much is {a} + {b}?
Calculate {a} + {b}.|{a} + {b}|What is the sum of {a} and {b}?|What is {a}+{b}?|{a}+{b}=?
""")
CAPITAL = patterns("""
What is the capital of {c}?|Capital of {c}?|Tell me the capital of {c}.|Which city is the capital of {c}?
What's the capital of {c}?|Name the capital of {c}.
""")
WEATHER = patterns("""
What is the weather in {c}?|How is the weather in {c}?|What's the weather like in {c}?|Tell me the weather in {c}.
Weather in {c}?|Is it warm in {c}?|What is the temperature in {c}?|Is it raining in {c}?
""")
CALCULATE = patterns("""
What is {e}?|Compute {e}.|Calculate {e}.|How much is {e}?|Use the calculator: {e}|{e} = ?
""")
SKY = ["sunny", "cloudy", "rainy", "windy", "snowy", "clear"]


class TextQuestion(NamedTuple):
    """A question with its answer; `history` holds earlier pairs of question and answer."""

    skill: str
    text: str
    answer: str
    thought: str
    history: tuple = ()


def ask_chat(rng):
    """Greetings, who are you, what can you do, and tasks that are too hard."""
    r = rng.random()
    if r < 0.5:
        return TextQuestion("chat", *rng.choice(GREETINGS), "The user is polite. I answer politely.")
    if r < 0.75:
        thought = "The user asks who I am."
        if rng.random() < 0.12:
            return TextQuestion("chat", rng.choice(WHO_CHINESE), I_AM_CHINESE, thought)
        return TextQuestion("chat", vary(rng, rng.choice(WHO)), I_AM, thought)
    if r < 0.85:
        return TextQuestion("chat", vary(rng, rng.choice(CAN)), I_CAN, "The user asks what I can do.")
    text = vary(rng, rng.choice(TOO_HARD).format(w=rng.choice(HARD_TOPICS)))
    return TextQuestion("chat", text, SORRY, "This task is not simple. I cannot do it.")


def ask_sum(rng, held_out=False):
    """A sum of two numbers below 100; about 5 % of the pairs are never trained."""
    while True:
        top = 99 if rng.random() < 0.85 else 9
        a, b = rng.randint(0, top), rng.randint(0, top)
        if ((a * 101 + b * 37) % 19 == 0) == held_out:
            break
    text = vary(rng, rng.choice(ADD).format(a=a, b=b))
    return TextQuestion("add", text, f"{a} + {b} = {a + b}.", column_addition(a, b))


def column_addition(a, b):
    """Column addition in words."""
    if a < 10 and b < 10:
        return f"{a} + {b} = {a + b}."
    ones = a % 10 + b % 10
    carry = ones // 10
    tens = a // 10 + b // 10 + carry
    first = f"Ones: {a % 10} + {b % 10} = {ones}, write {ones % 10}, carry {carry}."
    second = f"Tens: {a // 10} + {b // 10} + {carry} = {tens}."
    return f"{first} {second} The sum is {tens * 10 + ones % 10}."


def ask_repeat(rng, held_out=False):
    """One to three words to repeat; some are random letters."""
    if held_out:
        words = " ".join(rng.sample(HELD_OUT_COPY_WORDS, rng.choice([1, 1, 2])))
    else:
        words = " ".join(copy_word(rng) for _ in range(rng.choice([1, 1, 1, 2, 2, 3])))
    return TextQuestion("repeat", rng.choice(REPEAT).format(w=words), words, "I repeat the words.")


def copy_word(rng):
    """A word of the training list, or a few random letters."""
    if rng.random() < 0.2:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 4)))
    while True:
        word = rng.choice(COPY_WORDS)
        if word not in HELD_OUT_COPY_WORDS:
            return word


def ask_capital(rng):
    """The capital of a country, sometimes as the second question."""
    country = rng.choice(list(CAPITALS))
    answer, thought = f"The capital of {country} is {CAPITALS[country]}.", f"The user asks for the capital of {country}."
    if rng.random() < 0.25:
        other = rng.choice(list(CAPITALS))
        before = (f"What is the capital of {other}?", f"The capital of {other} is {CAPITALS[other]}.")
        text = rng.choice([f"And of {country}?", f"And the capital of {country}?", f"And {country}?"])
        return TextQuestion("capital2", text, answer, thought, (before,))
    return TextQuestion("capital", vary(rng, rng.choice(CAPITAL).format(c=country)), answer, thought)


# ---------------------------------------------------------------- tools
class ToolQuestion(NamedTuple):
    """A conversation with tools: as prompt text (`head`, `dialogue`) and as messages, and what has to follow."""

    skill: str
    head: str
    dialogue: str
    answer: str
    thought: str
    messages: list
    tools: list


def declare_tool(rng, name, argument, descriptions, argument_descriptions):
    """A tool with one text argument, in the form of the OpenAI API."""
    parameters = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    tool = {"name": name, "description": rng.choice(descriptions), "parameters": parameters}
    if rng.random() < 0.4:
        parameters["properties"][argument]["description"] = rng.choice(argument_descriptions)
    return tool


def weather_tool(rng):
    """The weather of a city."""
    weather = ["Get the weather of a city", "Get the current weather for a city", "Weather of a city", "Get current weather"]
    return declare_tool(rng, "get_weather", "city", weather, ["The city", "City name", "Name of the city"])


def calculator_tool(rng):
    """The value of an expression."""
    calculator = ["Evaluate an expression", "Compute a math expression", "A calculator"]
    return declare_tool(rng, "calculator", "expression", calculator, ["The expression", "Math expression"])


def ask_tool(rng):
    """A call of a tool, an answer from a tool's result, or a question that needs no tool."""
    use_weather = rng.choice(["weather", "calculator"]) == "weather"
    tools = [weather_tool(rng) if use_weather else calculator_tool(rng)]
    if rng.random() < 0.45:
        tools = [weather_tool(rng), calculator_tool(rng)]
        rng.shuffle(tools)
    head = "Tools:" + "".join("\n" + json.dumps(t) for t in tools) + TOOLS_TAIL + "\n"
    r = rng.random()
    if r < 0.12:
        q = simple_question(rng)
        messages = [dict(role="user", content=q.text)]
        return ToolQuestion("tool_none", head, "User: " + q.text, q.answer, q.thought, messages, tools)
    name, arguments, text, thought = weather_request(rng) if use_weather else calculation_request(rng)
    call = f'{CALL}{{"name": "{name}", "arguments": {json.dumps(arguments)}}}{CALL_END}'
    messages = [dict(role="user", content=text)]
    if r < 0.6:
        return ToolQuestion("tool_call", head, "User: " + text, call, thought, messages, tools)
    result, answer, thought = weather_result(rng, arguments) if use_weather else calculation_result(rng)
    dialogue = f"User: {text}\nAssistant: {call}{EOS}Tool: {RESPONSE}{result}{RESPONSE_END}"
    tool_calls = [dict(type="function", function=dict(name=name, arguments=arguments))]
    messages += [dict(role="assistant", content="", tool_calls=tool_calls), dict(role="tool", content=result)]
    return ToolQuestion("tool_answer", head, dialogue, answer, thought, messages, tools)


def simple_question(rng):
    """One question that needs no tool."""
    q = ask_chat(rng) if rng.random() < 0.6 else ask_capital(rng)
    return ask_chat(rng) if q.skill == "capital2" else q


def weather_request(rng):
    """Tool name, arguments, question and thought."""
    city = rng.choice(CITIES)
    text = vary(rng, rng.choice(WEATHER).format(c=city))
    return "get_weather", {"city": city}, text, f"The user asks for the weather in {city}. I call get_weather."


def calculation_request(rng):
    """Tool name, arguments, question and thought."""
    operator = rng.choice("+-*/")
    expression = f"{rng.randint(2, 99)} {operator} {rng.randint(2, 99)}"
    text = rng.choice(CALCULATE).format(e=expression)
    return "calculator", {"expression": expression}, text, f"The user asks for {expression}. I call calculator."


def weather_result(rng, arguments):
    """What the tool returns, the answer made from it, and the thought."""
    degrees, sky = rng.randint(-9, 39), rng.choice(SKY)
    result = dict(temperature=degrees, condition=sky)
    result = json.dumps(rng.choice([result, arguments | result]))
    answer = f"It is {sky} in {arguments['city']} with {degrees} degrees."
    return result, answer, f"The tool says {sky} and {degrees} degrees."


def calculation_result(rng):
    """What the tool returns (any number), the answer made from it, and the thought."""
    value = rng.randint(2, 999)
    result = rng.choice([str(value), json.dumps({"result": value})])
    return result, f"The result is {value}.", f"The tool says {value}."

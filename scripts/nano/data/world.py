"""The vocabulary of the toy world: shapes, colours, characters, words and facts."""

SHAPES = ["circle", "square", "triangle", "star", "diamond"]

# Every colour has several tones; the first is the plain one.
COLOURS = {
    "red": [(255, 0, 0), (220, 40, 40), (200, 20, 30)],
    "green": [(0, 128, 0), (0, 230, 0), (40, 160, 60), (0, 180, 0)],
    "blue": [(0, 0, 255), (40, 80, 220), (30, 60, 190)],
    "yellow": [(255, 255, 0), (245, 215, 40)],
    "orange": [(255, 165, 0), (250, 140, 20), (255, 128, 0)],
    "purple": [(128, 0, 128), (140, 50, 180), (150, 40, 200)],
    "black": [(0, 0, 0), (20, 20, 20)],
    "white": [(255, 255, 255), (245, 245, 245)],
}
COLOUR_NAMES = list(COLOURS)

# White is five times as likely as each of the others.
BACKGROUNDS = [(255, 255, 255)] * 5 + [
    (240, 240, 240), (220, 220, 220), (250, 245, 225), (200, 220, 240), (230, 210, 200),
    (128, 128, 128), (60, 60, 60), (0, 0, 0), (25, 30, 60), (210, 235, 210),
]

# The 3 x 3 zones of a picture, row by row.
ZONES = [
    "at the top left", "at the top", "at the top right",
    "on the left", "in the center", "on the right",
    "at the bottom left", "at the bottom", "at the bottom right",
]

MOVES = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}

CHARS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# What a patch can show, in the order of the dense class labels.
CLASSES = ["none"] + SHAPES + list(CHARS)

# Words to print in pictures.
WORDS = """
ACE ACT ADD AGE AIR ALL ANT APE APPLE ARM ART ASH BAG BALL BAND BANK BAR BASE BAT BED BEE BELL BIG BIRD BLUE BOAT BOOK BOX
BOY BREAD BUS CAB CAKE CALL CAMP CAP CAR CARD CAT CITY CLUB COAT COLD COOK CORN COW CUP DATA DAY DEEP DEER DESK DOG DOOR
DOWN DRUM DUCK EAR EAST EASY EGG EXIT EYE FACE FAN FARM FAST FIRE FISH FIVE FLAG FOG FOOD FOUR FOX FREE FROG FUN GAME GAS
GATE GIFT GIRL GOAT GOLD GOOD GREEN HAND HAT HEAT HELLO HELP HEN HERO HILL HOME HOPE HORSE HOT HOUSE ICE IDEA INK IRON JAM
JAR JAZZ JET JOB JOY JUMP KEY KID KING KITE LAKE LAMP LAND LEAF LEG LEMON LIFE LION LIST LOCK LOVE LUCK MAP MARK MATH MEAT
MENU MILK MIND MOON MOUSE MUSIC NAME NEST NET NEW NICE NIGHT NINE NOON NORTH NOSE NOTE OAK OIL ONE OPEN OVEN OWL PAGE PAN
PARK PEN PET PIANO PIE PIG PINK PIPE PLAN POEM POOL PUSH QUEEN QUIZ RAIN RED RICE RING RIVER ROAD ROCK ROOF ROOM ROSE SAFE
SALE SALT SAND SEA SEED SHIP SHOE SHOP SIX SKY SNOW SOAP SONG SOUP SOUTH SPOON STAR STOP SUGAR SUN TAXI TEA TEAM TEN TENT
TEST TIGER TIME TOWN TOY TRAIN TREE TWO UNIT VAN VASE VIEW VOTE WALK WALL WATER WAVE WEST WIND WINE WOLF WOOD WORD WORLD
YARD YEAR YES ZERO ZONE ZOO
""".split()

# Never printed in training, only in evaluation.
HELD_OUT_WORDS = """
BOOK CAT DOOR EXIT FOX GOLD HELP HORSE JUMP KING LEMON MOON NEST OWL PIANO QUIZ RIVER SNOW TIGER UNIT WOLF ZERO
""".split()

# Words to repeat in text.
COPY_WORDS = """
apple banana cat dog house tree river stone cloud happy green window table chair music water light paper sugar lemon orange
tiger lion horse mouse bread milk coffee summer winter spring autumn monday friday pencil book letter number simple quick
brown fox lazy jump over small large open close start stop hello world test nano model train plane boat street city garden
flower forest island ocean desert mountain valley bridge castle king queen
""".split()

# Never repeated in training, only in evaluation.
HELD_OUT_COPY_WORDS = "bridge hello lemon ocean pencil tiger".split()

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon", "England": "London",
    "Ireland": "Dublin", "Greece": "Athens", "Austria": "Vienna", "Poland": "Warsaw", "Russia": "Moscow", "China": "Beijing",
    "Japan": "Tokyo", "South Korea": "Seoul", "India": "New Delhi", "Thailand": "Bangkok", "Vietnam": "Hanoi",
    "Egypt": "Cairo", "Kenya": "Nairobi", "Canada": "Ottawa", "Mexico": "Mexico City", "Cuba": "Havana",
    "Brazil": "Brasilia", "Argentina": "Buenos Aires", "Chile": "Santiago", "Peru": "Lima", "Australia": "Canberra", "Norway": "Oslo",
    "Sweden": "Stockholm", "Finland": "Helsinki", "Denmark": "Copenhagen", "Hungary": "Budapest", "Turkey": "Ankara",
    "Belgium": "Brussels", "Switzerland": "Bern", "the United States": "Washington",
}
OTHER_CITIES = ["New York", "Shanghai", "Sydney", "Toronto", "Munich", "Milan", "Boston", "Chicago", "Mumbai", "Osaka"]
CITIES = sorted(set(CAPITALS.values())) + OTHER_CITIES

CHINESE = {
    "red": "红色", "green": "绿色", "blue": "蓝色", "yellow": "黄色",
    "orange": "橙色", "purple": "紫色", "black": "黑色", "white": "白色",
    "circle": "圆形", "square": "正方形", "triangle": "三角形", "star": "星形", "diamond": "菱形",
}

SYSTEM_PROMPTS = [
    "You are a helpful assistant.",
    "You are a careful assistant.",
    "Answer briefly.",
    "You are ERNIE-VL nano.",
    "You are a helpful vision assistant. Answer the question.",
    "Be concise and correct.",
]

"""What only people can say of a model: the questions, and what they are asked for."""

from dataclasses import dataclass

from adaptact.languages.catalogue import mark


@dataclass(frozen=True, slots=True)
class Question:
    """One question: its key in the file of answers, and which points ask for it.

    `points` are of Annex IV of the EU's AI Act, `principles` numbers of Japan's common guiding principles;
    `owner` is who can answer.
    """

    key: str
    title: str
    asked: str
    points: tuple[str, ...]
    principles: tuple[int, ...]
    owner: str


_PRODUCT = mark("the owner of the product")
_MODEL = mark("who trained the model")
_OPERATION = mark("who operates the server")
_COMPLIANCE = mark("legal or compliance")

QUESTIONS = (
    Question(
        "purpose",
        mark("Intended purpose"),
        mark("What is decided or supported with the model's answers, for whom, and where?"),
        ("1(a)",),
        (1, 6),
        _PRODUCT,
    ),
    Question(
        "provider",
        mark("Provider and contact"),
        mark("Which organisation answers for the system, and how is it reached?"),
        ("1(a)",),
        (7,),
        _PRODUCT,
    ),
    Question(
        "users",
        mark("Intended users and people affected"),
        mark("Who uses the answers, and about whom are they?"),
        ("2(b)", "3"),
        (1, 3),
        _PRODUCT,
    ),
    Question(
        "misuse",
        mark("Uses that are not intended"),
        mark("What must it not be used for, and which misuse can be foreseen?"),
        ("3",),
        (1, 2),
        _PRODUCT,
    ),
    Question(
        "system",
        mark("The system around the model"),
        mark("With which software and hardware does it work, and in which form is it delivered?"),
        ("1(b)", "1(d)", "1(e)"),
        (6,),
        _OPERATION,
    ),
    Question(
        "instructions",
        mark("User interface and instructions for use"),
        mark("What do users see, and where are their instructions?"),
        ("1(g)", "1(h)"),
        (2, 6, 8),
        _PRODUCT,
    ),
    Question(
        "design",
        mark("Design choices"),
        mark("Why this kind of model, what was it optimised for, and which trade-offs were made?"),
        ("2(b)",),
        (6,),
        _MODEL,
    ),
    Question(
        "training_data",
        mark("Training data"),
        mark("Where do they come from, whom and what do they cover, how were they labelled and cleaned?"),
        ("2(d)",),
        (2, 3, 4, 6, 7),
        _MODEL,
    ),
    Question(
        "training",
        mark("Training"),
        mark("With which code, settings, third-party models and computing resources was it trained?"),
        ("2(a)", "2(c)"),
        (6,),
        _MODEL,
    ),
    Question(
        "test_data",
        mark("Test data"),
        mark("On which data was it tested, and how do they compare with those in use?"),
        ("2(g)",),
        (2, 3),
        _MODEL,
    ),
    Question(
        "fairness",
        mark("Groups of people and bias"),
        mark("Which groups were examined, and what was found?"),
        ("2(g)", "3"),
        (3,),
        _MODEL,
    ),
    Question(
        "oversight",
        mark("Human oversight"),
        mark("Who can check, correct and stop the system, and how do they notice that they should?"),
        ("2(e)", "3"),
        (1, 2, 3),
        _PRODUCT,
    ),
    Question(
        "planned_changes",
        mark("Planned changes"),
        mark("Which changes of the system and its performance are foreseen from the start?"),
        ("2(f)",),
        (2,),
        _PRODUCT,
    ),
    Question(
        "security",
        mark("Security measures"),
        mark("Who may change the model, its data and its server, and how is that protected?"),
        ("2(h)",),
        (5,),
        _OPERATION,
    ),
    Question(
        "privacy",
        mark("Personal data"),
        mark("Which personal data are trained on, sent or stored, and on which ground?"),
        (),
        (4,),
        _COMPLIANCE,
    ),
    Question(
        "metrics",
        mark("Why these performance metrics"),
        mark("Why are the metrics that were measured the right ones for the purpose?"),
        ("4",),
        (2,),
        _MODEL,
    ),
    Question(
        "risks",
        mark("Risks and their management"),
        mark("Which risks to health, safety and rights are known, and what is done about them?"),
        ("5",),
        (2, 7),
        _COMPLIANCE,
    ),
    Question(
        "standards",
        mark("Standards applied"),
        mark("Which harmonised standards are applied, or what is done instead?"),
        ("7",),
        (7,),
        _COMPLIANCE,
    ),
    Question(
        "declaration",
        mark("EU declaration of conformity"),
        mark("Where is its copy, if one is needed?"),
        ("8",),
        (),
        _COMPLIANCE,
    ),
    Question(
        "monitoring",
        mark("Plan for monitoring in use"),
        mark("What is watched after the release, by whom, and what happens when it changes?"),
        ("9",),
        (2, 7),
        _OPERATION,
    ),
    Question(
        "literacy",
        mark("Training of the people who use it"),
        mark("How do the people who use and oversee it learn what it can and cannot do?"),
        (),
        (8,),
        _PRODUCT,
    ),
)
KEYS = tuple(question.key for question in QUESTIONS)

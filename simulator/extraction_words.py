"""Words of English that the simulated extraction goes by: data alone."""

from __future__ import annotations


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


DETERMINERS = _set("the a an this that these those our my your his her its their all each every some any no both")
PRONOUNS = _set("i me we us you he she it they him them who which what there here")
WE, ME = _set("we us ours"), _set("i me mine")
TEAM, USER = "team", "user"
PREPOSITIONS = _set(
    "at in on to with for from by of as into over under via about through between against onto behind within during until per"
)
ADVERBS = _set(
    "now currently also always still already just only today usually often mostly never not no longer actually finally instead again both "
    "then generally normally anymore explicitly directly exclusively internally"
)
CONJUNCTIONS = _set("and or but so because since while when if unless although though than before after where whereas nor")
STOP = DETERMINERS | PRONOUNS | PREPOSITIONS | ADVERBS | CONJUNCTIONS | _set(
    "please remember note yes ok okay hi hello hey thanks thank let lets don't do does did dont what why how whose yesterday tomorrow "
    "tonight soon later once however decision update reminder todo fyi warning important correction summary rule fact status question "
    "answer most many several"
)
LABELS = _set(
    "note todo decision update reminder fyi warning important correction summary rule fact status question answer example fix bug feature "
    "hint tip context background goal problem solution cause result reason plan action"
)
"""What stands before a colon and is neither who speaks nor what is spoken of."""
ROLES = _set("user assistant system human ai bot agent customer support")
DATES = _set(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october "
    "november december mondays tuesdays wednesdays thursdays fridays saturdays sundays"
)
COUNTED_BEFORE = "port|version|release|issue|ticket|line|room|level|node|step|phase|sprint|milestone|floor|section|page|channel|revision"
"""Nouns whose number follows them, as a regular expression."""

# --- verbs ----------------------------------------------------------------------------------------------------------------------------

BE = _set("am is are was were be been being isn't aren't wasn't weren't 's 're 'm")
AUXILIARIES = _set(
    "has have had having will would can could should must may might shall do does did don't doesn't didn't won't can't cannot couldn't "
    "shouldn't mustn't hasn't haven't 've 'll 'd"
)
NEGATIONS = _set(
    "not never no isn't aren't wasn't weren't don't doesn't didn't won't can't cannot couldn't shouldn't mustn't hasn't haven't"
)
CATENATIVE = _set("decide agree plan choose want need start begin continue intend have switch move opt")
"""Verbs of which the next one says what it is about: decided to use, started using."""

_REGULAR = _set(
    "accept add adopt agree allow announce answer appear approve ask assign avoid back base belong book bump cache call cause change "
    "check claim close code commit configure connect consist contain continue contribute convert cover crash create deal decide default "
    "define delete depend deploy deprecate describe design develop disable discuss document drop email employ enable enforce ensure equal "
    "estimate exclude execute expect expire export expose extend fail favor favour fetch finish fix follow force forbid generate handle "
    "happen hate head help hire host ignore implement import improve include increase index inherit install integrate intend invalidate "
    "join launch learn leave like limit link list listen live load locate log lower love maintain manage mark measure mention merge "
    "migrate monitor mount move need notify number offer open operate opt order own parse pass pin plan play point poll post prefer "
    "present prevent process produce promise proxy publish pull push query queue raise rank reach receive recommend redirect refactor "
    "refer reject release rely relocate remain remember remove rename render replace replicate report request require reset reside "
    "resolve respond restart restrict retire retry return review rotate route save scale schedule search secure seem serve share ship "
    "show sign skip solve sort specify standardise standardize start stay stop store stream supersede support switch sync talk target "
    "test touch track trigger trust try update upgrade upload use validate verify version visit wait walk want warn watch weigh work wrap "
    "abandon downgrade decrease settle pick prohibit restore scan batch cost last ditch reveal chair supervise"
)
_IRREGULAR = {
    "build": "built", "buy": "bought", "choose": "chose chosen", "become": "became", "begin": "began begun", "break": "broke broken",
    "bring": "brought", "come": "came", "draw": "drew drawn", "drive": "drove driven", "eat": "ate eaten", "feel": "felt",
    "find": "found", "get": "got gotten", "give": "gave given", "go": "went gone", "grow": "grew grown", "hold": "held", "keep": "kept",
    "know": "knew known", "lead": "led", "lie": "lay", "lose": "lost", "make": "made", "mean": "meant", "meet": "met", "pay": "paid",
    "put": "", "quit": "", "read": "", "run": "ran", "say": "said", "see": "saw seen", "sell": "sold", "send": "sent", "set": "",
    "sit": "sat", "speak": "spoke spoken", "spend": "spent", "take": "took taken", "teach": "taught", "tell": "told", "think": "thought",
    "understand": "understood", "wear": "wore worn", "win": "won", "write": "wrote written", "leave": "left", "have": "had",
    "do": "did done", "throw": "threw thrown", "hit": "", "cut": "", "let": "", "shut": "",
}
NOUNISH = _set(
    "test build release run deploy log cache host call query request update report plan list store process change order start stop need "
    "show share support work back base book check claim code commit cover crash default document email export fix force handle head help "
    "import index install issue last launch like limit link load mark merge move number offer open pass pin play point poll post present "
    "proxy publish pull push queue rank reset return review route save scale schedule search sign sort stream switch sync target touch "
    "track trigger trust version visit wait walk watch wrap scan batch cost set lead chair estimate project mount monitor design service"
)
"""Verbs whose forms are nouns as well: the tests, a build."""


def third(base: str) -> str:
    """A verb as it is used of one thing: uses."""
    if base in _ODD_THIRDS:
        return _ODD_THIRDS[base]
    if base.endswith("y") and base[-2] not in "aeiou":
        return base[:-1] + "ies"
    return base + ("es" if base.endswith(("s", "sh", "ch", "x", "o")) else "s")


def _shapes(base: str) -> list[str]:
    """All forms of one verb."""
    stem = base[:-1] if base.endswith("e") and not base.endswith("ee") else base
    if base in _DOUBLING:
        stem = base + base[-1]
    past = base[:-1] + "ied" if third(base).endswith("ies") else stem + "ed" if not base.endswith("e") else base + "d"
    return [base, third(base), stem + "ing", *([past] if base in _REGULAR else []), *_IRREGULAR.get(base, "").split()]


_ODD_THIRDS = {"have": "has"}
_DOUBLING = _set("drop log plan pin run set ship stop commit get put sit skip wrap prefer refer scan begin quit win opt reset")
FORMS = {form: base for base in sorted(_REGULAR | _IRREGULAR.keys()) for form in _shapes(base)}
"""Every form of every verb, with its base."""


# --- what is one attribute, and what can stand beside what ---------------------------------------------------------------------------

FAMILIES: dict[str, frozenset[str]] = {
    "use": _set(
        "use run rely adopt choose pick switch migrate move upgrade downgrade go settle store change standardise standardize opt"
    ),
    "place": _set("live move relocate reside base sit locate host deploy be-in be-at run stay"),
    "work": _set("work join employ leave quit"),
    "own": _set("own lead maintain manage head chair inherit take"),
    "prefer": _set("prefer favor favour choose"),
    "value": _set(
        "be become change set listen raise lower increase decrease bump upgrade downgrade rename equal default cost expire last limit "
        "switch move"
    ),
}
OWNERS = _set("owner lead maintainer manager head chair responsible")
"""Who owns something, in other words than the verb's."""
EXCLUSIVE = frozenset({"own"})
"""Families whose object has one subject: a new owner ends the old one's owning."""
ADDITIVE = _set(
    "like love know meet visit support include contain review fix add write want need depend import call speak see test mention create "
    "build find read send say show report help hate learn teach allow require ask merge implement have"
)
"""Verbs of which one thing may have many objects."""
ENDED = _set("replaced superseded retired dropped removed abandoned deprecated ditched")
CHANGED = ENDED | _set(
    "now instead anymore replaces supersedes moved moves relocated switched switches migrated changed changes renamed upgraded downgraded "
    "bumped raised lowered increased decreased stopped quit left joined became"
)
CHANGED_TO = (
    " no longer ", " in place of ", " rather than ", " from now on", " going forward", " as of ", " any more", " took over ",
    " takes over ", " went from ", " is the new ", ", not ",
)
"""Words and phrases that say that something is otherwise than it was."""
SETTERS = _set("change set bump raise lower increase decrease upgrade downgrade rename move switch migrate")
"""Verbs that give a thing another value: we changed the port to 9090."""

KINDS: dict[str, str] = {
    word: kind
    for kind, words in {
        "database": "postgres postgresql sqlite mysql mariadb mongodb mongo duckdb oracle cockroachdb dynamodb cassandra",
        "broker": "kafka rabbitmq nats sqs pulsar zeromq",
        "cache": "redis memcached valkey",
        "linter": "ruff flake8 pylint eslint biome",
        "formatter": "black yapf prettier autopep8",
        "tests": "pytest unittest nose jest vitest mocha",
        "types": "mypy pyright pyre",
        "packages": "pip uv poetry pipenv conda npm yarn pnpm",
        "web": "flask django fastapi starlette express rails",
        "front": "react vue svelte angular solid",
        "cloud": "aws gcp azure hetzner heroku",
        "ci": "jenkins circleci travis buildkite github-actions gitlab-ci",
        "chat": "slack discord mattermost",
        "indent": "tabs spaces tab space",
        "system": "debian ubuntu fedora alpine windows macos",
        "editor": "vim neovim emacs vscode",
        "graph": "neo4j falkordb kuzu ladybug neptune",
        "logs": "loguru structlog",
        "state": "broken fixed green red passing failing up down open closed enabled disabled on off active inactive paused done pending "
        "blocked unblocked stable unstable deprecated supported unsupported public private mandatory optional required forbidden allowed "
        "available unavailable true false dark light",
        "day": "monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays saturdays sundays",
    }.items()
    for word in words.split()
}
"""What a well-known value is: one of a kind stands in place of another, those of two kinds stand beside each other."""

SHORT = {"postgres": "postgresql", "k8s": "kubernetes", "mongo": "mongodb", "js": "javascript", "gh": "github"}
"""Abbreviations of which nobody doubts what they are short for."""

"""Mistakes in rule files: what the message says, which line it names, where the carets stand."""

import pytest

from remap.cli.main import main
from remap.errors import RuleError
from remap.rules.load import load_rules

HEAD = "format = 1\n"
RULE = "[[rename]]\nmatch = 'a'\nto = 'b'\n"


def problems_of(tmp_path, text):
    path = tmp_path / "rules.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(RuleError) as raised:
        load_rules(path)
    assert raised.value.exit_code == 4
    return raised.value.problems


def underlined(excerpt):
    """The text above the carets."""
    line, carets = excerpt.splitlines()
    return line[carets.index("^") : carets.rindex("^") + 1]


# TOML text, what the message says, line, what the carets stand under
BAD = {
    # TOML itself
    "no equals sign": (HEAD + "[[rename]]\nmatch 'a'\n", ["not valid TOML", "Expected '='"], 3, "'"),
    "regex in double quotes": (HEAD + '[[rename]]\nmatch = "a\\.b"\n', ["not valid TOML", "single quotes"], 3, None),
    "open quote": (HEAD + "[[rename]]\nmatch = 'a\nto = 'b'\n", ["not valid TOML"], 3, None),
    "no quotes": (HEAD + "[[rename]]\nmatch = a\n", ["not valid TOML", "between quotes"], 3, "a"),
    "key twice": (HEAD + "[[rename]]\nmatch = 'a'\nmatch = 'b'\n", ["overwrite", "stands twice"], 4, None),
    "open array": (HEAD + "include = [\n'a',\n\n", ["not valid TOML", "still open"], 3, None),
    # words and their values
    "no format": (RULE, ["does not say its format", "format = 1"], 1, None),
    "other format": ("format = 2\n" + RULE, ["unknown format", "2", "format = 1"], 1, "2"),
    "unknown table": (
        HEAD + "[[renames]]\nmatch = 'a'\n",
        ["unknown key 'renames'", "did you mean 'rename'?"],
        2,
        None,
    ),
    "unknown key": (HEAD + "[[rename]]\nmach = 'a'\nmatch = 'a'\nto = 'b'", ["'mach'", "'match'?"], 3, "mach"),
    "unknown word in a layout": (
        HEAD + "[layouts.x]\nkernel = { from = 'w', axis = 'a b -> b a' }\n",
        ["'axis'", "'axes'?"],
        3,
        "axis",
    ),
    "unknown word in a source": (
        HEAD + "[layouts.x]\nk = { from = [\n  'w',\n  { tensr = 'v' },\n] }\n",
        ["'tensr'", "'tensor'?"],
        5,
        "tensr",
    ),
    "single brackets": (HEAD + "[rename]\nmatch = 'a'\nto = 'b'\n", ["list of tables", "[[rename]]"], 2, "[rename]"),
    "missing word": (HEAD + "[[rename]]\nmatch = 'a'\n", ["'rename' needs 'to'"], 2, "[[rename]]"),
    "no reason": (HEAD + "[[ignore]]\nmatch = 'a'\n", ["'ignore' needs 'reason'", "Why"], 2, None),
    "empty reason": (HEAD + "[[ignore]]\nmatch = 'a'\nreason = ''\n", ["'reason'", "not empty"], 4, "''"),
    "a list for a text": (HEAD + "[[rename]]\nmatch = ['a']\nto = 'b'\n", ["'match'", "a text"], 3, "['a']"),
    "a text for a choice": (
        HEAD + "[batchnorm]\non_mismatch = 'eror'\n",
        ["'on_mismatch'", '"error" or "accept"', 'mean "error"'],
        3,
        "'eror'",
    ),
    "a text for a number": (HEAD + "[batchnorm]\nsource_epsilon = '1e-5'\n", ["a number of at least 0"], 3, "'1e-5'"),
    "a negative epsilon": (HEAD + "[batchnorm]\nsource_epsilon = -1.0\n", ["at least 0", "-1.0"], 3, "-1.0"),
    "a text for true": (HEAD + RULE + "optional = 'yes'\n", ["'optional'", "true or false"], 5, "'yes'"),
    "a number for a table": (HEAD + "[tables]\nroles = 3\n", ["wrong value for 'roles'", "a table of"], 3, "3"),
    "include as text": (HEAD + "include = 'base.toml'\n", ["wrong value for 'include'", "a list of"], 2, "'base.toml'"),
    "include of nothing": (HEAD + "include = ['nowhere.toml']\n", ["no such rule file to include"], 2, "nowhere.toml"),
    "include of itself": (HEAD + "include = [\n  'rules.toml',\n]\n", ["includes itself"], 3, "rules.toml"),
    # patterns
    "invalid regex": (
        HEAD + "[[rename]]\nmatch = 'layer<i>\\.(a'\nto = 'b'\n",
        ["regular expression", "missing )"],
        3,
        "(",
    ),
    "bad escape": (HEAD + "[[rename]]\nmatch = 'a<i>\\q'\nto = 'b{i}'\n", ["bad escape"], 3, "\\"),
    "capture twice": (
        HEAD + "[[rename]]\nmatch = 'a<i>.b<i>'\nto = 'b{i}'\n",
        ["redefinition of group name 'i'"],
        3,
        "<",
    ),
    "too many repeats": (
        HEAD + "[[ignore]]\nmatch = '((a{99}){99}){99}'\nreason = 'x'\n",
        ["multiply to 970299"],
        3,
        None,
    ),
    "invalid regex in keep": (HEAD + "[[keep]]\nmatch = '*'\nreason = 'x'\n", ["nothing to repeat"], 3, "*"),
    "invalid regex in fill": (HEAD + "[[fill]]\nmatch = '['\nvalue = 0.0\nreason = 'x'\n", ["unterminated"], 3, "["),
    "invalid regex in derive": (
        HEAD + "[[derive]]\nop = 'weight_norm'\nfrom = { g = '(g', v = 'v' }\nto = 'w'\n",
        ["missing )"],
        4,
        "(",
    ),
    "invalid regex in a layout": (HEAD + "[layouts.x]\nkernel = 'w('\n", ["regular expression"], 3, "("),
    # templates
    "no such capture": (
        HEAD + "[[rename]]\nmatch = 'l<stage>'\nto = 'c{stag+1}'\n",
        ["names no capture", "one of: stage", "'stage'?"],
        4,
        "{stag+1}",
    ),
    "no capture at all": (HEAD + "[[rename]]\nmatch = 'l'\nto = 'c{i}'\n", ["captures nothing"], 4, "{i}"),
    "second of two targets": (
        HEAD + "[[rename]]\nmatch = 'l<i>'\nto = [\n  'c{i}',\n  'd{j}',\n]\n",
        ["names no capture"],
        6,
        "{j}",
    ),
    "open brace": (HEAD + "[[rename]]\nmatch = 'l<i>'\nto = 'c{i'\n", ["invalid template", "not closed"], 4, "c{i"),
    "code in a template": (HEAD + "[[rename]]\nmatch = 'l<i>'\nto = 'c{i.x()}'\n", ["invalid template"], 4, "c{i.x()}"),
    "no such table": (
        HEAD + "[tables.roles]\nq = 'query'\n[[rename]]\nmatch = '(?P<r>q)'\nto = '{role[r]}'\n",
        ["no [tables.role]", "'roles'?"],
        6,
        "role",
    ),
    # layouts and expressions
    "no such layout": (HEAD + RULE + "layout = 'conv_2d'\n", ["unknown layout 'conv_2d'", "'conv2d'?"], 5, "conv_2d"),
    "fill of no variable": (HEAD + RULE + "layout = 'conv2d'\nfill = ['bais']\n", ["'bais'", "'bias'?"], 6, "bais"),
    "fill that is not declared": (
        HEAD + RULE + "layout = 'conv2d'\nfill = ['kernel']\n",
        ["how to fill"],
        6,
        "'kernel'",
    ),
    "axes beside a layout": (
        HEAD + RULE + "layout = 'conv2d'\naxes = 'a b -> b a'\n",
        ["without a layout"],
        6,
        "'a b -> b a'",
    ),
    "axis that is lost": (
        HEAD + RULE + "axes = 'o i -> o'\n",
        ["invalid axes pattern", "not on the right"],
        5,
        "o i -> o",
    ),
    "axis that is new": (HEAD + RULE + "axes = 'o -> o i'\n", ["only on the right", "repeat = ['i']"], 5, "i"),
    "no arrow": (HEAD + RULE + "axes = 'o i'\n", ["has no '->'"], 5, "o i"),
    "axis twice": (HEAD + RULE + "axes = 'o o -> o'\n", ["stands twice"], 5, "o o -> o"),
    "take of no axis": (HEAD + RULE + "axes = 'o i -> i o'\ntake = { h = 0 }\n", ["has no axis 'h'"], 6, "h"),
    "take without axes": (HEAD + RULE + "take = { h = 0 }\n", ["there must be 'axes'"], 5, "{ h = 0 }"),
    "take of nonsense": (HEAD + RULE + "axes = 'o i -> i o'\ntake = { o = 'x' }\n", ["neither an index"], 6, "'x'"),
    "order that is none": (
        HEAD + "[layouts.x]\nk = { from = 'w', axes = 'g i -> g i', order = { g = [0, 0, 1] } }\n",
        ["no permutation", "each of 0..2"],
        3,
        "[0, 0, 1]",
    ),
    "sum of one": (HEAD + "[layouts.x]\nk = { from = 'w', reduce = 'sum' }\n", ["needs a list"], 3, "'sum'"),
    "stack of no capture": (HEAD + "[layouts.x]\nk = { from = 'w', stack = 'e' }\n", ["'stack' names no"], 3, "'e'"),
    "captures that differ": (
        HEAD + "[layouts.x]\nk = { from = ['a<i>', 'b<j>'], reduce = 'sum' }\n",
        ["different captures", "<j>"],
        3,
        "'b<j>'",
    ),
    "no source": (HEAD + "[layouts.x]\nk = { axes = 'a b -> b a' }\n", ["no source"], 3, "{ axes = 'a b -> b a' }"),
    "an empty layout": (HEAD + "[layouts.x]\n", ["layout 'x' has no variables"], 2, "[layouts.x]"),
    "no such operation": (
        HEAD + "[[derive]]\nop = 'weight_nrm'\nfrom = { g = 'g' }\nto = 'w'\n",
        ["'weight_nrm'", "'weight_norm'?"],
        3,
        "weight_nrm",
    ),
    "no such input": (
        HEAD + "[[derive]]\nop = 'weight_norm'\nfrom = { g = 'g', v = 'v', x = 'x' }\nto = 'w'\n",
        ["no input 'x'"],
        4,
        "x",
    ),
    "too few inputs": (
        HEAD + "[[derive]]\nop = 'weight_norm'\nfrom = { g = 'g' }\nto = 'w'\n",
        ["needs more inputs", "also v"],
        4,
        None,
    ),
    "no such setting": (
        HEAD + "[[derive]]\nop = 'weight_norm'\nfrom = { g = 'g', v = 'v' }\nto = 'w'\noptions = { dmi = 1 }\n",
        ["no setting 'dmi'"],
        6,
        None,
    ),
    # rows
    "a pattern twice": (HEAD + "[move.dense]\n'a' = 'b'\n'a' = 'c'\n", ["overwrite", "stands twice"], 4, None),
    "a table of rows twice": (
        HEAD + "[move.dense]\n'a' = 'b'\n[keep]\n[move.dense]\n'c' = 'd'\n",
        ["('move', 'dense') twice", "below its first header"],
        5,
        None,
    ),
    "rows and a list": (
        HEAD + "[ignore]\n'a' = 'x'\n[[ignore]]\nmatch = 'b'\nreason = 'x'\n",
        ["overwrite", "exclude each other"],
        4,
        None,
    ),
    "a regex for a key without quotes": (
        HEAD + "[move.dense]\nlayer<i> = 'a{i}'\n",
        ["Expected '='", "single quotes on the left too"],
        3,
        "<",
    ),
    "a row that begins with a dot": (HEAD + "[ignore]\n.*x = 'y'\n", ["on the left too"], 3, "."),
    "a regex for a key in double quotes": (HEAD + "[ignore]\n\"a\\.b\" = 'x'\n", ["single quotes"], 3, None),
    "a key with dots without quotes": (
        HEAD + "[move.dense]\nlayer1.0.fc = 'b'\n",
        ["a pattern with dots has no quotes", "between single quotes"],
        3,
        "layer1",
    ),
    "an ignore with dots without quotes": (HEAD + "[ignore]\nhead.weight = 'x'\n", ["has no quotes"], 3, "head"),
    "a list of moves": (HEAD + "[[move]]\n'a' = 'b'\n", ["'move' is a table of layouts"], 2, "[[move]]"),
    "a number of moves": (HEAD + "move = 3\n", ["'move' is a table of layouts", "[move.conv2d]"], 2, "3"),
    "a list of rows": (HEAD + "[[move.dense]]\n'a' = 'b'\n", ["'move.dense' is one table"], 2, "dense"),
    "a row without a layout": (
        HEAD + "[move]\n'a' = 'b'\n",
        ["below the name of its layout", "[move.tensor] where a rule moves one tensor"],
        3,
        "'a'",
    ),
    "words of [[rename]] under a layout": (
        HEAD + "[move.dense]\nmatch = 'a'\nto = 'b'\n",
        ["'match' is a word of [[rename]]", "[move.dense], then 'pattern' = 'target'"],
        3,
        "match",
    ),
    "words of [[ignore]] under [ignore]": (
        HEAD + "[ignore]\nmatch = 'a'\nreason = 'x'\n",
        ["'match' is a word of [[ignore]]", "[ignore], then 'pattern' ="],
        3,
        "match",
    ),
    "a layout of rows that is unknown": (
        HEAD + "[move.conv_2d]\n'a' = 'b'\n'c' = 'd'\n",
        ["unknown layout 'conv_2d'", "'conv2d'?"],
        2,
        "conv_2d",
    ),
    "unknown word in a row": (
        HEAD + "[move.dense]\n'a' = { to = 'b', optinal = true }\n",
        ["unknown key 'optinal' in 'move.dense'", "'optional'?"],
        3,
        "optinal",
    ),
    "match in a row": (HEAD + "[move.dense]\n'a' = { match = 'c', to = 'b' }\n", ["key 'match'"], 3, "match"),
    "a row without a target": (
        HEAD + "[move.dense]\n'a' = { fill = ['bias'] }\n",
        ["'move.dense' needs 'to'"],
        3,
        "{ fill = ['bias'] }",
    ),
    "a number for a target": (HEAD + "[move.dense]\n'a' = 3\n", ["wrong value for 'a'", "a list of texts"], 3, "3"),
    "a number among targets": (HEAD + "[move.dense]\n'a' = ['b', 3]\n", ["wrong value", "a text"], 3, "3"),
    "a text for true in a row": (
        HEAD + "[move.dense.'a']\nto = 'b'\noptional = 'yes'\n",
        ["'optional'", "true or false"],
        4,
        "'yes'",
    ),
    "invalid regex of a row": (HEAD + "[move.dense]\n'l<i>\\.(a' = 'b'\n", ["missing )"], 3, "("),
    "invalid regex of a row with escapes": (
        HEAD + "[move.dense]\n\"l<i>\\\\.(a\" = 'b'\n",
        ["missing )", "'l<i>\\.(a'"],
        3,
        '"l<i>\\\\.(a"',
    ),
    "invalid regex in a header": (HEAD + "[move.dense.'l<i>\\.(a']\nto = 'b'\n", ["missing )"], 2, "("),
    "no such capture in a row": (HEAD + "[move.dense]\n'l<i>' = 'c{j}'\n", ["names no capture"], 3, "{j}"),
    "no such capture in one of two targets": (
        HEAD + "[move.dense]\n'l<i>' = [\n  'c{i}',\n  'c{j}',\n]\n",
        ["names no capture"],
        5,
        "{j}",
    ),
    "no such capture in the word of a row": (
        HEAD + "[move.dense]\n'l<i>' = { fill = ['bias'], to = 'c{j}' }\n",
        ["names no capture"],
        3,
        "{j}",
    ),
    "fill of no variable in a row": (
        HEAD + "[move.dense]\n'a' = { to = 'b', fill = ['bias', 'bais'] }\n",
        ["no variable 'bais'"],
        3,
        "bais",
    ),
    "axes of a row with a layout": (
        HEAD + "[move.dense]\n'a' = { to = 'b', axes = 'o i -> i o' }\n",
        ["without a layout", "[move.tensor]"],
        3,
        "'o i -> i o'",
    ),
    "fill of a single tensor": (
        HEAD + "[move.tensor]\n'a' = { to = 'b', fill = ['bias'] }\n",
        ["belongs to a rule with a layout"],
        3,
        "['bias']",
    ),
    "take of no axis of a single tensor": (
        HEAD + "[move.tensor]\n'a' = { to = 'b', axes = 'o i -> i o', take = { h = 0 } }\n",
        ["has no axis 'h'"],
        3,
        "h",
    ),
    "a layout called tensor": (
        HEAD + "[layouts.tensor]\nkernel = 'w'\n",
        ["no layout can be called 'tensor'"],
        2,
        "[layouts.tensor]",
    ),
    "a rule with layout tensor": (HEAD + RULE + "layout = 'tensor'\n", ["leave 'layout' out"], 5, "tensor"),
    "a row without a reason": (HEAD + "[ignore]\n'a' = { optional = true }\n", ["'ignore' needs 'reason'"], 3, None),
    "a row with an empty reason": (HEAD + "[keep]\n'a' = ''\n", ["not empty"], 3, "''"),
    "unknown word of an ignore": (HEAD + "[ignore]\n'a' = { reson = 'x' }\n", ["'reson'", "'reason'?"], 3, "reson"),
    "a constant alone": (HEAD + "[fill]\n'a' = 0.5\n", ["a table {value, reason, optional}"], 3, "0.5"),
    "invalid regex of an ignore": (HEAD + "[ignore]\n'x(' = 'y'\n", ["missing )"], 3, "("),
    "a text for keep": (HEAD + "keep = 'x'\n", ["'keep' is a table of rules", "[keep], then"], 2, "'x'"),
    "parameter from nowhere": (
        HEAD + "[params]\nheads = { from = 'config.json' }\n",
        ["'heads' is read from"],
        None,
        None,
    ),
}


@pytest.mark.parametrize("text, parts, line, under", BAD.values(), ids=BAD.keys())
def test_message_line_and_carets(tmp_path, text, parts, line, under):
    problems = problems_of(tmp_path, text)
    assert len(problems) == 1, [str(problem) for problem in problems]
    message = str(problems[0])
    for part in parts:
        assert part in message
    if line is not None:
        assert f"rules.toml:{line}" in problems[0].where
    if under is not None:
        assert problems[0].excerpt.startswith(f"{line} | ")
        assert underlined(problems[0].excerpt) == under


GOOD = {
    "nothing but the format": HEAD,
    "comments, tables in any order": "# a\n[[rename]] # b\nto = 'b' # c\nmatch = 'a'\n" + "\n[about]\n",
    "multi-line strings": HEAD + "[[rename]]\nmatch = '''\na'''\nto = \"\"\"b\"\"\"\n",
    "windows line ends": (HEAD + RULE).replace("\n", "\r\n"),
    "a byte-order mark": "\ufeff" + HEAD + RULE,
    "look-around": HEAD + "[[rename]]\nmatch = '(?!x)a<i>(?<!9)'\nto = 'b{i}'\n",
    "several targets": HEAD + "[[rename]]\nmatch = 'a<i>'\nto = ['b{i*2}', 'c{i//2}_{i%2}']\n",
    "a layout of its own": HEAD
    + "[layouts.x]\n'q/kernel' = { from = 'w', axes = '(h d) e -> e h d' }\n"
    + RULE
    + "layout = 'x'\nsizes = { h = 4 }\n",
    "own word for a built-in layout": HEAD + "[layouts.dense]\nkernel = 'weight'\n",
    "braces in a name": HEAD + "[[rename]]\nmatch = 'a'\nto = 'b{{1}}'\n",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_good_files_load(tmp_path, text):
    path = tmp_path / "rules.toml"
    path.write_bytes((text if "format" in text else HEAD + text).encode())
    assert len(load_rules(path).renames) == text.count("[[rename]]")


def test_all_mistakes_are_told_at_once(tmp_path):
    text = HEAD + (
        "[layouts.x]\nkernel = { from = 'w', axis = 'a', stak = 'e' }\n"
        "[[rename]]\nmach = 'a'\n"
        "[[rename]]\nmatch = 'b('\nto = 'c{i}'\nlayout = 'x'\n"
        "[[rename]]\nmatch = 'd'\nto = 'd{i}'\nlayout = 'nope'\n"
    )
    found = [(p.where.rpartition(":")[2], p.what) for p in problems_of(tmp_path, text)]
    assert found == [
        ("5", "unknown key 'mach' in 'rename'"),
        ("4", "'rename' needs 'to'"),
        ("3", "unknown key 'axis' in 'layouts.x.kernel'"),
        ("3", "unknown key 'stak' in 'layouts.x.kernel'"),
        ("7", "invalid regular expression"),
        ("13", "unknown layout 'nope'"),
    ]


def test_mistakes_in_included_files_name_their_own_file(tmp_path):
    (tmp_path / "base.toml").write_text(HEAD + "[[rename]]\nmatch = 'a('\nto = 'b'\n")
    problems = problems_of(tmp_path, HEAD + "include = ['base.toml']\n[[rename]]\nmatch = 'c)'\nto = 'd'\n")
    assert sorted(p.where.rpartition("/")[2] for p in problems) == ["base.toml:3", "rules.toml:4"]


def test_included_files_that_disagree(tmp_path):
    for name, value in (("one", "q"), ("two", "k")):
        (tmp_path / f"{name}.toml").write_text(f"{HEAD}[tables.roles]\na = '{value}'\n")
    text = HEAD + "include = ['one.toml', 'two.toml']\n"
    assert "included files differ in what table 'roles' is" in str(problems_of(tmp_path, text)[0])
    path = tmp_path / "rules.toml"
    path.write_text(text + "[tables.roles]\na = 'own'\n")
    assert load_rules(path).tables == {"roles": {"a": "own"}}


def test_unknown_bare_name_suggests_the_closest(tmp_path):
    with pytest.raises(RuleError, match="did you mean resnet"):
        load_rules("resnett")


def test_command_line_exits_with_the_code_of_rule_errors_and_writes_nothing(tmp_path, capsys):
    rules, out = tmp_path / "rules.toml", tmp_path / "out.weights.h5"
    rules.write_text(HEAD + "[[rename]]\nmatch = 'layer<i>\\.(a'\nto = 'b'\n")
    with pytest.raises(SystemExit) as exited:
        main(["apply", str(rules), "fixtures/linear/linear.safetensors", "-o", str(out)])
    assert exited.value.code == 4
    text = capsys.readouterr().err
    assert "Traceback" not in text
    assert "  3 | match = 'layer<i>\\.(a'\n    |                    ^\n" in text
    assert sorted(tmp_path.iterdir()) == [rules]

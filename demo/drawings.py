"""The demo's pictures: one drawing for a family, coloured for each of its variants.

They are uploaded as a merchant's would be, and so not as the SVG that they are drawn in: a browser
has drawn the files in demo/pictures from them. tests/browser/test_demo_pictures.py does it again,
and makes sure that the files are what is drawn here.
"""

from collections.abc import Iterator
from pathlib import Path
from string import Template

FOLDER = Path(__file__).resolve().parent / "pictures"

# Cloth and the shade in its folds.
_COLOURS = {
    "": ("#e9e2d3", "#cfc4ad"),
    "Black": ("#3a3d44", "#24262b"),
    "Blue": ("#3f7fb5", "#2d5f8b"),
    "Green": ("#4f8a6b", "#386750"),
    "Grey": ("#a3abb5", "#7d8691"),
    "Natural": ("#e6d9bd", "#c9b88f"),
    "Navy": ("#2c4470", "#1c2e50"),
    "Red": ("#c8453d", "#97302a"),
    "Sand": ("#cdb088", "#a98c64"),
    "Steel": ("#b9c4cd", "#8c99a5"),
    "White": ("#ffffff", "#d5dbe1"),
    "Yellow": ("#f0b93a", "#c89320"),
}

_FRAME = Template("""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200" role="img" aria-label="$label">
<rect width="200" height="200" rx="16" fill="#eef1f4"/>
<g stroke-linejoin="round" stroke-linecap="round" stroke-width="3">
$drawing
</g>
</svg>
""")

_SHIRT = """\
<path fill="$cloth" stroke="$shade" d="M74 42 L38 60 L24 100 L52 110 L58 96 L58 162 L142 162 L142 96
L148 110 L176 100 L162 60 L126 42 Q100 66 74 42Z"/>
<path fill="none" stroke="$shade" d="M66 46 Q100 78 134 46 M58 96 L61 78 M142 96 L139 78"/>"""

_HOODIE = """\
<path fill="$cloth" stroke="$shade" d="M72 52 L42 66 L22 142 L46 150 L60 106 L60 168 L140 168 L140
106
L154 150 L178 142 L158 66 L128 52Z"/>
<path fill="$shade" stroke="$shade" d="M72 54 Q76 28 100 28 Q124 28 128 54 Q114 76 100 76 Q86 76 72
54Z"/>
<path fill="$cloth" stroke="$shade" d="M84 54 Q86 42 100 42 Q114 42 116 54 Q108 64 100 64 Q92 64 84
54Z M78 128 L122 128 L130 152 L70 152Z"/>
<path fill="none" stroke="#fff" d="M91 76 V98 M109 76 V94"/>"""

_TROUSERS = """\
<path fill="$cloth" stroke="$shade" d="M66 32 L134 32 L146 170 L112 170 L100 84 L88 170 L54 170Z"/>
<path fill="none" stroke="$shade" d="M65 44 L135 44 M100 44 V84 M74 44 Q74 60 63 64 M126 44 Q126 60
137
64 M56 158 L90 158 M110 158 L144 158"/>"""

_JACKET = """\
<path fill="$cloth" stroke="$shade" d="M72 50 L44 64 L26 146 L50 152 L62 104 L62 168 L138 168 L138
104
L150 152 L174 146 L156 64 L128 50Z"/>
<path fill="$shade" stroke="$shade" d="M74 52 Q76 28 100 28 Q124 28 126 52 L100 66Z"/>
<path fill="none" stroke="$shade" d="M100 66 V168 M74 128 L88 128 M112 128 L126 128"/>
<path fill="none" stroke="#fff" stroke-dasharray="1 14" stroke-width="6" d="M92 84 V160"/>"""

_CAP = """\
<path fill="$cloth" stroke="$shade" d="M38 122 Q36 58 96 56 Q152 56 152 122 Q94 108 38 122Z"/>
<path fill="$shade" stroke="$shade" d="M94 113 Q140 110 152 122 Q186 132 184 142 Q146 150 96 128Z"/>
<path fill="none" stroke="$shade" d="M96 56 Q72 80 74 115 M96 56 Q122 80 122 113"/>
<circle cx="96" cy="55" r="5" fill="$shade"/>"""

_SOCKS = """\
<path fill="$shade" stroke="$shade" transform="translate(40 -12)" d="M46 44 H88 V106 Q88 118 100 123
L128 134 Q146 143 137 156 Q132 163 122 163 H78 Q46 163 46 130Z"/>
<path fill="$cloth" stroke="$shade" d="M46 44 H88 V106 Q88 118 100 123 L128 134 Q146 143 137 156
Q132 163 122 163 H78 Q46 163 46 130Z"/>
<path fill="none" stroke="#fff" d="M50 58 H84 M50 68 H84 M119 134 Q109 144 113 159 M50 136
Q68 138 74 159"/>"""

_MUG = """\
<path fill="none" stroke="$shade" stroke-width="12" d="M136 82 Q172 78 168 108 Q164 136 132 134"/>
<path fill="$cloth" stroke="$shade" d="M44 60 L50 146 Q52 160 66 160 L116 160 Q130 160 132 146 L138
60Z"/>
<ellipse cx="91" cy="60" rx="47" ry="11" fill="$shade" stroke="$shade"/>
<path fill="none" stroke="$shade" d="M91 96 V136 M91 96 m-7 -4 a7 7 0 1 1 14 0 a7 7 0 1 1 -14 0 M70
118
Q74 136 91 136 Q108 136 112 118 M80 106 H102"/>"""

_BOTTLE = """\
<rect x="84" y="24" width="32" height="22" rx="5" fill="#3a3d44"/>
<path fill="$cloth" stroke="$shade" d="M86 48 H114 V58 Q130 66 130 84 V164 Q130 176 118 176 H82 Q70
176 70
164 V84 Q70 66 86 58Z"/>
<path fill="none" stroke="$shade" d="M70 96 H130 M70 152 H130"/>
<path fill="none" stroke="#fff" stroke-width="6" d="M82 106 V142"/>"""

_TOTE = """\
<path fill="none" stroke="$shade" stroke-width="8" d="M72 84 V54 Q72 28 100 28 Q128 28 128 54 V84"/>
<path fill="$cloth" stroke="$shade" d="M46 76 H154 L162 172 H38Z"/>
<path fill="none" stroke="$shade" d="M45 88 H155 M74 138 Q87 126 100 138 T126 138 M74 124 Q87 112
100 124
T126 124"/>"""

_LIGHTHOUSE = """\
<rect x="46" y="20" width="108" height="160" fill="#fff" stroke="#d5dbe1"/>
<rect x="54" y="28" width="92" height="144" fill="#f6cf8a"/>
<circle cx="124" cy="56" r="12" fill="#fff3d6"/>
<path fill="#2c4470" d="M54 140 Q76 130 100 140 T146 138 V172 H54Z"/>
<path fill="#fff" d="M88 72 H108 L114 144 H82Z"/>
<path fill="#c8453d" d="M86.500 90 H109.500 L111 106 H85Z M83.500 124 H112.500 L114 142 H82Z"/>
<path fill="#3a3d44" d="M86 56 H110 V72 H86Z M84 56 L98 42 L112 56Z"/>
<rect x="93" y="60" width="10" height="9" fill="#f0b93a"/>"""

_HARBOUR = """\
<rect x="46" y="20" width="108" height="160" fill="#fff" stroke="#d5dbe1"/>
<rect x="54" y="28" width="92" height="144" fill="#bfdce6"/>
<circle cx="78" cy="58" r="13" fill="#f0b93a"/>
<path fill="#4f8a6b" d="M54 122 L84 92 L106 114 L124 98 L146 122Z"/>
<path fill="#3f7fb5" d="M54 120 H146 V172 H54Z"/>
<path fill="#fff" d="M102 82 V138 H72Z M107 92 V138 H128Z"/>
<path fill="#97302a" d="M66 142 H134 L124 156 H76Z"/>
<path fill="none" stroke="#fff" stroke-width="2" d="M62 164 Q68 160 74 164 M112 166 Q118 162 124
166"/>"""

_NOTEBOOK = """\
<path fill="#fff" stroke="#d5dbe1" d="M58 36 H150 V172 H58Z"/>
<rect x="50" y="30" width="94" height="136" rx="6" fill="$cloth" stroke="$shade"/>
<path fill="none" stroke="$shade" d="M66 30 V166"/>
<rect x="82" y="56" width="46" height="26" rx="3" fill="#fff"/>
<path fill="none" stroke="$shade" stroke-width="2" d="M89 66 H121 M89 73 H111"/>"""

_STICKERS = """\
<rect x="44" y="28" width="112" height="144" rx="8" fill="#fff" stroke="#d5dbe1"/>
<circle cx="74" cy="64" r="20" fill="#f0b93a"/>
<path fill="#2c4470" d="M106 84 L126 44 L146 84Z"/>
<rect x="56" y="98" width="36" height="26" rx="6" fill="#c8453d"/>
<circle cx="126" cy="112" r="18" fill="#4f8a6b"/>
<path fill="none" stroke="#3f7fb5" stroke-width="7" d="M60 150 Q70 138 80 150 T100 150 T120 150
T140 150"/>"""

_CANDLE = """\
<path fill="#f0b93a" d="M100 30 Q116 52 100 66 Q84 52 100 30Z"/>
<path fill="none" stroke="#3a3d44" d="M100 60 V84"/>
<path fill="$cloth" stroke="$shade" d="M60 92 H140 V156 Q140 170 126 170 H74 Q60 170 60 156Z"/>
<ellipse cx="100" cy="90" rx="40" ry="9" fill="#fffaf0" stroke="$shade"/>
<rect x="76" y="114" width="48" height="32" rx="3" fill="#fff"/>
<path fill="none" stroke="$shade" stroke-width="2" d="M84 126 H116 M90 135 H110"/>"""

_WRAPPING = """\
<rect x="40" y="76" width="120" height="94" rx="4" fill="$cloth" stroke="$shade"/>
<rect x="34" y="62" width="132" height="26" rx="4" fill="$cloth" stroke="$shade"/>
<path fill="#c8453d" d="M92 62 H108 V170 H92Z"/>
<path fill="#c8453d" stroke="#97302a" d="M100 60 Q58 52 66 36 Q76 24 100 60Z M100 60 Q142 52 134 36
Q124 24
100 60Z"/>"""

_CARD = """\
<rect x="28" y="54" width="144" height="94" rx="10" fill="#2c4470" stroke="#1c2e50"/>
<path fill="#c8453d" d="M62 54 H76 V148 H62Z"/>
<path fill="#c8453d" stroke="#97302a" d="M69 92 Q42 84 48 74 Q56 66 69 92Z M69 92 Q96 84 90 74 Q82
66 69
92Z"/>
<path fill="none" stroke="#fff" stroke-width="5" d="M98 112 H152 M98 128 H134"/>"""

_PATTERN = """\
<path fill="#fff" stroke="#d5dbe1" d="M50 24 H126 L152 50 V176 H50Z"/>
<path fill="#eef1f4" stroke="#d5dbe1" d="M126 24 V50 H152Z"/>
<path fill="none" stroke="#3f7fb5" stroke-dasharray="7 6" d="M86 72 L68 82 L62 104 L76 108 L78 102
V146 H122
V102 L124 108 L138 104 L132 82 L114 72 Q100 84 86 72Z"/>
<path fill="none" stroke="#c8453d" stroke-width="2" d="M100 92 V136 M96 97 L100 92 L104 97 M96 131
L100 136
L104 131"/>"""

_DRAWINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "shirt": (_SHIRT, ("Navy", "White", "Red")),
    "hoodie": (_HOODIE, ("Grey", "Green")),
    "trousers": (_TROUSERS, ("Sand",)),
    "rain-jacket": (_JACKET, ("Yellow",)),
    "cap": (_CAP, ("Black", "Green")),
    "socks": (_SOCKS, ("Red",)),
    "mug": (_MUG, ("White", "Blue")),
    "bottle": (_BOTTLE, ("Steel",)),
    "tote-bag": (_TOTE, ("Natural", "Navy")),
    "poster-lighthouse": (_LIGHTHOUSE, ("",)),
    "poster-harbour": (_HARBOUR, ("",)),
    "notebook": (_NOTEBOOK, ("Red", "Blue")),
    "stickers": (_STICKERS, ("",)),
    "candle": (_CANDLE, ("",)),
    "gift-wrapping": (_WRAPPING, ("",)),
    "gift-card": (_CARD, ("",)),
    "sewing-pattern": (_PATTERN, ("",)),
}


def drawings() -> Iterator[tuple[str, str]]:
    """Yield each drawing's name and text."""
    for name, (drawing, colours) in _DRAWINGS.items():
        for colour in colours:
            cloth, shade = _COLOURS[colour]
            label = f"{name} {colour.lower()}".replace("-", " ").strip()
            shapes = Template(drawing).substitute(cloth=cloth, shade=shade)
            yield (
                label.replace(" ", "-"),
                _FRAME.substitute(label=label, drawing=shapes),
            )

"""The site of these pages: `./run --group docs sphinx-build -W docs site`, then open site/index.html.

=> Sphinx with the theme furo, pages in Markdown by MyST; decision 51 has the reasons.
=> -W makes each warning an error: a link that leads nowhere, a page that no list of pages has.
=> Pages load nothing from the network.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import uvmfree  # noqa: E402

project = "uvmfree"
author = copyright = "The uvmfree authors"
version = release = uvmfree.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "plain_docstrings", "lists", "tunables"]
exclude_patterns = ["_ext", "_template.md", "results"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
classes_that_users_make = {"uvmfree.VirtualMachine", "uvmfree.design.GlobalFreelist", "uvmfree.design.PageList"}
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 72

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}

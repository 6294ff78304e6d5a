"""How Sphinx builds the pages: ``sphinx-build -W --keep-going -b html docs build/docs``.

Nothing is fetched. With ``-t online``, names of PyKEEN, torch and Python become links to their pages.
"""

from importlib.metadata import version as version_of

project = "negsamp"
author = "The negsamp developers"
project_copyright = author
release = version = version_of("negsamp")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.intersphinx", "myst_nb", "sphinx_click"]
# a notebook runs with the pages, and a cell that fails ends the build
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"
# tables that the pages include
exclude_patterns = ["results"]

# two hyphens of an option stay two
smartquotes_action = "qe"

html_theme = "furo"
html_title = f"negsamp {release}"
html_copy_source = False

# what a constructor takes is told by the class, in the order of the source
autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True
maximum_signature_line_length = 100

myst_heading_anchors = 3

_INVENTORIES = {
    "python": ("https://docs.python.org/3", None),
    "pykeen": ("https://pykeen.readthedocs.io/en/stable", None),
    "torch": ("https://pytorch.org/docs/stable", None),
}
intersphinx_mapping = _INVENTORIES if tags.has("online") else {}  # noqa: F821

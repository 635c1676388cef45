"""How docs/ becomes a site: `make docs`. Pages are Markdown, and read as well without being built."""

from outboxrelay import __version__

project = "Outbox relay operator"
html_title = f"Outbox relay operator {__version__}"
root_doc = "index"
extensions = ["myst_parser"]

# A link to a page, a heading or a file that is not there is a warning, and warnings end the build.
nitpicky = True
myst_heading_anchors = 4

# Nothing of the site comes from another host: the theme brings its styles and scripts, and no font.
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"

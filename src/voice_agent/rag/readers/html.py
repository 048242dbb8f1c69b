"""Reads a web page: its headings, paragraphs, lists and tables as simple Markdown, without what is not content."""

from __future__ import annotations

from html.parser import HTMLParser


class _MarkdownWriter(HTMLParser):
    """Keeps headings and text blocks; drops what is not content."""

    _DROPPED = frozenset({"script", "style", "nav", "header", "footer", "template", "noscript", "svg", "form", "aside"})
    _BLOCKS = frozenset({"p", "div", "section", "article", "main", "ul", "ol", "table", "tr", "br", "hr", "blockquote"})
    _HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.page_title = ""
        self._dropping: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._DROPPED:
            self._dropping.append(tag)
        elif tag == "title":
            self._in_title = True
        elif tag in self._HEADINGS:
            self.parts.append("\n\n" + "#" * int(tag[1]) + " ")
        elif tag == "li":
            self.parts.append("\n- ")
        elif tag in ("td", "th"):
            self.parts.append(" ")
        elif tag in self._BLOCKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._dropping:
            # Closing an outer element closes what was left open inside it.
            del self._dropping[len(self._dropping) - 1 - self._dropping[::-1].index(tag) :]
        elif tag == "title":
            self._in_title = False
        elif tag in self._HEADINGS or tag in self._BLOCKS or tag == "li":
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if self._in_title:
            self.page_title += data
        elif words and not self._dropping:
            before = " " if data[:1].isspace() else ""
            after = " " if data[-1:].isspace() else ""
            self.parts.append(before + words + after)


def html_to_markdown(html: str) -> str:
    """The content of a page as simple Markdown; its title is the first ``h1``, else ``title``."""
    writer = _MarkdownWriter()
    writer.feed(html)
    writer.close()
    text = "".join(writer.parts).strip()
    has_title = any(line.startswith("# ") for line in text.splitlines())
    title = " ".join(writer.page_title.split())
    return text if has_title or not title else f"# {title}\n\n{text}"

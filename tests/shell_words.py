"""Takes a line apart as a shell does, written by hand from what each shell documents. For tests of lines that can be pasted."""

from __future__ import annotations

SINGLE = "'‘’‚‛"


def fish_words(line: str) -> list[str]:
    """What fish makes of a line of plain words and single quotes: inside them only \\\\ and \\' are escapes."""
    words, at = [], 0
    while at < len(line):
        if line[at] == " ":
            at += 1
            continue
        word = ""
        while at < len(line) and line[at] != " ":
            if line[at] == "'":
                at += 1
                while line[at] != "'":
                    if line[at] == "\\" and line[at + 1] in "\\'":
                        at += 1
                    word += line[at]
                    at += 1
            else:
                assert line[at] not in '\\"$*?~#(){}[]<>&|;!', line
                word += line[at]
            at += 1
        words.append(word)
    return words


def powershell_words(line: str) -> list[str]:
    """What PowerShell makes of a line of plain words and quotes: a single quote inside of single ones is doubled.

    Four characters are single quotes to it: https://github.com/PowerShell/PowerShell, CharExtensions.IsSingleQuote.
    """
    words, at = [], 0
    while at < len(line):
        if line[at] == " ":
            at += 1
            continue
        word, start = "", at
        if line[at] == "'":
            at += 1
            while line[at] not in SINGLE or (line[at + 1 : at + 2] and line[at + 1 : at + 2] in SINGLE):
                word += line[at]
                at += 1 if line[at] not in SINGLE else 2
            at += 1
        elif line[at] == '"':
            end = line.index('"', at + 1)
            word, at = line[at + 1 : end], end + 1
            assert not set(word) & set("$`“”„"), line
        else:
            while at < len(line) and line[at] != " ":
                assert line[at] not in "`\"'$,;&|<>(){}#*?", line
                word += line[at]
                at += 1
            assert start == at or not (
                word.startswith(("@", "%"))
                or (word.startswith("-") and not word[1:2].isdigit() and set(word) & set(".:"))
            ), line
        words.append(word)
    return words


def cmd_words(line: str) -> list[str]:
    """Words of a line as the C runtime of Windows takes it apart: https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments"""
    found, word, quoted, started, at = [], "", False, False, 0
    while at < len(line):
        slashes = len(line[at:]) - len(line[at:].lstrip("\\"))
        if slashes:
            at += slashes
            before_quote = line[at : at + 1] == '"'
            word += "\\" * (slashes // 2 if before_quote else slashes)
            started = True
            if before_quote and slashes % 2:
                word, at = word + '"', at + 1
            continue
        if line[at] == '"':
            quoted, started = not quoted, True
        elif line[at] in " \t" and not quoted:
            found, word, started = ([*found, word] if started else found), "", False
        else:
            word, started = word + line[at], True
        at += 1
    return [*found, word] if started else found

#!/usr/bin/env python3
"""Makes a corpus of real text in many scripts for `magpie-bench search`, from Debian packages.

    Benchmarks/search/make_multilingual.py multilingual.jsonl
    Tools/bench search --corpus multilingual.jsonl

The packages are fetched with `apt-get download` into a directory that goes away, and nothing is installed:
    debian-handbook          GPL-2+ or CC BY-SA 3.0   Arabic, Chinese (both scripts), English, French, German, Greek,
                                                      Japanese, Korean, Persian, Russian
    debian-reference-ja, debian-reference-zh-cn       GPL-2+   Japanese, Chinese
    fortunes-zh              GPL-3+                   Chinese, poems of the Tang and Song among them
    fortunes-ru              GPL-2                    Russian
    libreoffice-help-ja, -ko, -zh-tw, -hi             MPL-2.0  Japanese, Korean, Chinese, Hindi

A message is a sentence, each text once; a conversation is a page or file of one package and language, its sender the
language. Sentences of a conversation keep their order; how the conversations interleave, one message a second, is
drawn by seed 1. So the texts are real, and who says them when is not.
"""
import glob
import gzip
import html
import json
import os
import random
import re
import subprocess
import sys
import tempfile

HELP_LANGUAGES = ["ja", "ko", "zh-tw", "hi"]
PACKAGES = ["debian-handbook", "debian-reference-ja", "debian-reference-zh-cn", "fortunes-zh", "fortunes-ru"]
PACKAGES += [f"libreoffice-help-{language}" for language in HELP_LANGUAGES]
HANDBOOK_LANGUAGES = ["ar-MA", "de-DE", "el-GR", "en-US", "fa-IR", "fr-FR", "ja-JP", "ko-KR", "ru-RU", "zh-CN", "zh-TW"]
BLOCK = re.compile(r"<(p|dt|h[1-4]|td)\b[^>]*>(.*?)</\1>|<div class=\"para\">(.*?)</div>", re.S)
SENTENCE_END = re.compile(r"(?<=[。！？])|(?<=[.!?؟।])\s+")
CHARACTERS_MAX = 2_000


def fetch(directory):
    """Unpacks the packages; their versions by name."""
    subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *PACKAGES], cwd=directory, check=True, stdout=sys.stderr)
    versions = {}
    for path in glob.glob(os.path.join(directory, "*.deb")):
        fields = subprocess.run(["dpkg-deb", "-W", path], check=True, capture_output=True, text=True).stdout.split()
        versions[fields[0]] = fields[1]
        subprocess.run(["dpkg-deb", "-x", path, os.path.join(directory, "root")], check=True)
    return versions


def pages(root):
    """Paths of HTML pages with package and language."""
    share = os.path.join(root, "usr/share")
    for language in HANDBOOK_LANGUAGES:
        for path in glob.glob(f"{share}/doc/debian-handbook/html/{language}/*.html"):
            yield path, "debian-handbook", language
    for language in ["ja", "zh-cn"]:
        for path in glob.glob(f"{share}/debian-reference/*.{language}.html"):
            yield path, "debian-reference", language
    for language in HELP_LANGUAGES:
        folder = re.sub("-(.*)", lambda match: "-" + match[1].upper(), language)
        for path in glob.glob(f"{share}/libreoffice/help/{folder}/text/**/*.html", recursive=True):
            yield path, "libreoffice-help", language


def read(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", errors="replace") as file:
        return file.read()


def blocks(root):
    """Conversations: a name, a language and paragraphs."""
    for path, package, language in sorted(pages(root)):
        paragraphs = [html.unescape(re.sub(r"<[^>]*>", "", match[2] or match[3] or "")) for match in BLOCK.finditer(read(path))]
        yield f"{package}/{language}/{os.path.relpath(path, root)}", language, paragraphs
    fortunes = [(name, "zh") for name in ["chinese", "song100", "tang300"]]
    fortunes += [(f"ru/{name}", "ru") for name in sorted(os.listdir(f"{root}/usr/share/games/fortunes/ru")) if not re.search(r"\.(dat|u8)$", name)]
    for name, language in fortunes:
        text = re.sub(r"\x1b\[[0-9;]*m", "", read(f"{root}/usr/share/games/fortunes/{name}"))
        # A file of fortunes is many conversations of a hundred.
        items = text.split("\n%\n")
        for first in range(0, len(items), 100):
            yield f"fortunes/{name}/{first}", language, items[first : first + 100]


def conversations(root):
    seen = set()
    for name, language, paragraphs in blocks(root):
        sentences = []
        for paragraph in paragraphs:
            for sentence in SENTENCE_END.split(" ".join(paragraph.split())):
                sentence = sentence.strip()
                if 2 <= len(sentence) <= CHARACTERS_MAX and sentence not in seen:
                    seen.add(sentence)
                    sentences.append(sentence)
        if sentences:
            yield name, language, sentences


def main(out):
    with tempfile.TemporaryDirectory() as directory:
        versions = fetch(directory)
        found = list(conversations(os.path.join(directory, "root")))
    turns = [number for number, (_, _, sentences) in enumerate(found) for _ in sentences]
    random.Random(1).shuffle(turns)
    next_sentence = [iter(sentences) for _, _, sentences in found]
    time = 1_600_000_000_000
    with open(out, "w", encoding="utf-8") as file:
        for number in turns:
            name, language, _ = found[number]
            time += 1_000
            line = {"conversation": name, "sender": language, "timeMs": time, "text": next(next_sentence[number])}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(f"{len(turns)} messages, {len(found)} conversations; " + ", ".join(f"{name} {version}" for name, version in sorted(versions.items())))


if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
    sys.exit(__doc__)
main(sys.argv[1])

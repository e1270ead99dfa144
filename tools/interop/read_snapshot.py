#!/usr/bin/env python3
"""Reads snapshots with nothing of snapkeep but docs/format.md: somebody else's reader, to prove that it can be written.

    read_snapshot.py SNAPSHOT ...                   directories, .tar, .tar.gz: verifies all, prints their entries
    read_snapshot.py --by table SNAPSHOT            a .tar.gz by its table; --by sequence: as any tar
    read_snapshot.py --entry STATE/PATH SNAPSHOT    one entry's verified bytes to standard output
    read_snapshot.py --entry ... --range 10:20 SNAPSHOT.tar.gz   bytes 10 to 19 of it, from the chunks they lie in

Prints one JSON array [path, size, sha256] per line. Exit code 0 means that every byte matched, 1 that one did not.
"""
import argparse
import hashlib
import json
import os
import re
import sys
import unicodedata
import zlib

PIECE = 1024 * 1024
LEFT_BY_DESKTOP = re.compile(r"(?:.*/)?(?:\.DS_Store|\._[^/]+|Thumbs\.db|desktop\.ini)")  # sections 4 and 5
IGNORED = {"stargz.index.json", ".prefetch.landmark", ".no.prefetch.landmark"}  # sections 4 and 5
RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³]|CONIN\$|CONOUT\$)(\..*)?$", re.IGNORECASE | re.DOTALL)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}$")


class Invalid(Exception):
    """What is read breaks a rule of docs/format.md."""


def hold(claim, rule):
    if not claim:
        raise Invalid(rule)


# Section 2: names and paths.


def check_path(path, limit=1024, segments=64):
    hold(len(path.encode("utf-8", "surrogatepass")) <= limit and path.count("/") < segments, f"{path!r} is too long")
    for segment in path.split("/"):
        normal = unicodedata.normalize("NFKC", segment)
        hold("/" not in normal, f"{path!r} holds a slash in disguise")
        for form in (segment, normal):
            hold(form not in ("", ".", "..") and form[-1] not in ". ", f"{path!r} has the part {form!r}")
            bad = any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") or c in '\\<>:"|?*' for c in form)
            hold(not bad and not RESERVED.match(form), f"{path!r} has the part {form!r}")
            hold(len(form.encode("utf-8")) <= 255, f"{path!r} has a part of more than 255 bytes")


def check_collisions(paths):
    def key(path):
        return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).upper().lower())

    files, folders = set(), {}
    for path in paths:
        hold(key(path) not in files, f"{path!r} collides with another file")
        files.add(key(path))
        parts = path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            hold(folders.setdefault(key(folder), folder) == folder, f"the folder {folder!r} is spelt in two ways")
    hold(not files & folders.keys(), "a file is also a folder")


# Section 3: the manifest.


def parse_manifest(data):
    """Returns {"<state>/<path>": (size, digest)}, in the manifest's order."""
    tail = re.fullmatch(rb'\n  "digest": "(sha256:[0-9a-f]{64})"\n}\n', data[-89:])
    hold(tail, "the manifest's last 89 bytes are others")
    hold(digest_of(data[:-89]) == tail[1].decode(), "the manifest does not match its own digest")

    def members(pairs):
        hold("__proto__" not in dict(pairs), "the manifest has the key __proto__")
        return dict(pairs)

    manifest = json.loads(data.decode("utf-8"), object_pairs_hook=members)
    hold(manifest["format"] == "snapkeep" and manifest["formatVersion"] == 1, "the manifest is of another format")
    check_path(manifest["name"], 200, 1)
    entries, count = {}, 0
    for state in manifest["states"]:
        name = state["name"]
        check_path(name, 255, 1)
        hold(not name.startswith(".") and name not in ("manifest.json", "stargz.index.json"), f"a state is named {name!r}")
        hold(type(state["version"]) is int and state["version"] >= 1, f"{name!r} has no version")
        for entry in state["entries"]:
            size, digest = entry["sizeBytes"], entry["digest"]
            check_path(entry["path"])
            hold(type(size) is int and 0 <= size < 2**53 and DIGEST.match(digest), f"{entry['path']!r} has no size or digest")
            entries[f"{name}/{entry['path']}"] = (size, digest)
            count += 1
    totals = {"states": len(manifest["states"]), "entries": count, "sizeBytes": sum(size for size, _ in entries.values())}
    hold(manifest["totals"] == totals, "the totals are not the sums")
    check_collisions([*entries, *(state["name"] + "/." for state in manifest["states"] if not state["entries"])])
    return entries


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def verified(path, expected, pieces):
    """Passes pieces on; raises unless they are what the manifest says."""
    size, digest, found = *expected, hashlib.sha256()
    for piece in pieces:
        found.update(piece)
        size -= len(piece)
        yield piece
    hold(size == 0 and "sha256:" + found.hexdigest() == digest, f"{path!r} is not what the manifest says")


# Section 4: a directory.


class Directory:
    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "manifest.json"), "rb") as file:
            self.entries = parse_manifest(file.read())

    def pieces(self, path):
        with open(os.path.join(self.folder, *path.split("/")), "rb") as file:
            while piece := file.read(PIECE):
                yield piece


# Section 6: a .tar.gz, by its table.


def inflate(source):
    """Decompresses gzip members that follow each other, to the very end; zeros behind the last one are padding."""
    member, first, zeros = None, True, 0
    for packed in source:
        while packed:
            if member is None and not first and packed[0] == 0:
                hold(not any(packed), "something follows the padding behind the last gzip member")
                zeros += len(packed)
                hold(zeros <= PIECE, "there is too much padding behind the last gzip member")
                break
            hold(zeros == 0, "something follows the padding behind the last gzip member")
            member = member or zlib.decompressobj(31)
            yield member.decompress(packed)
            packed = member.unused_data
            if member.eof:
                member, first = None, False
    hold(member is None, "a gzip member is cut")


class Indexed:
    def __init__(self, name):
        self.file = open(name, "rb")
        end = self.file.seek(-51, os.SEEK_END)
        footer = self.file.read()
        form = rb"\x1f\x8b\x08\x04\0{4}\0\xff\x1a\0\x53\x47\x16\0([0-9a-f]{16})STARGZ\x01\0\0\xff\xff\0{8}"
        found = re.fullmatch(form, footer, re.DOTALL)
        hold(found, "there is no footer, and so no table")
        self.table_at = int(found[1], 16)
        hold(self.table_at < end, "the footer points behind itself")
        files = list(tar_files(inflate([self.read(self.table_at, end)]), whole=b"".join))
        hold(len(files) == 1 and files[0][0] == "stargz.index.json", "the footer does not point at the table")
        table = json.loads(files[0][1])
        hold(table["version"] == 1, "the table is of another version")
        self.rows = {}
        for row in table["entries"]:
            rows = self.rows.setdefault(row["name"], [])
            hold(row["type"] == ("chunk" if rows else "reg"), f"{row['name']!r} stands in the table twice")
            rows.append(row)
        self.offsets = sorted({row["offset"] for row in table["entries"] if "offset" in row} | {self.table_at})
        self.next = dict(zip(self.offsets, self.offsets[1:]))
        hold("manifest.json" in self.rows, "there is no manifest, and so no snapshot")
        self.entries = parse_manifest(b"".join(self.pieces("manifest.json")))
        hold(self.rows.keys() == self.entries.keys() | {"manifest.json"}, "table and manifest list different entries")
        for path, expected in self.entries.items():
            first = self.rows[path][0]
            hold((first.get("size", 0), first["digest"]) == expected, f"the table contradicts the manifest about {path!r}")

    def read(self, start, end):
        self.file.seek(start)
        return self.file.read(end - start)

    def pieces(self, path, start=0, end=sys.maxsize):
        """The chunks of an entry that hold bytes start to end, each held against its own digest."""
        rows = self.rows[path]
        size = rows[0].get("size", 0)
        for row in rows if size else []:
            at = row.get("chunkOffset", 0)
            length = row.get("chunkSize", size - at)
            if at >= end or at + length <= start:
                continue
            hold(0 < length <= size - at and row["offset"] in self.next, f"the table contradicts itself about {path!r}")
            inner = row.get("innerOffset", 0)
            member = b"".join(inflate([self.read(row["offset"], self.next[row["offset"]])]))
            chunk = member[inner : inner + length]
            hold(digest_of(chunk) == row["chunkDigest"], f"a chunk of {path!r} has another digest")
            yield chunk[max(0, start - at) : end - at]


# Sections 5 and 8: any tar, in sequence.


MAGICS = (b"ustar\x0000", b"ustar  \0", bytes(8))  # ustar, GNU, v7


def read_number(field):
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.strip(b" \0")
    hold(re.fullmatch(rb"[0-7]*", text), "a number in a header is none")
    return int(text or b"0", 8)


def read_pax(data):
    records = {}
    while data:
        length, _, _ = data.partition(b" ")
        record, data = data[: int(length)], data[int(length) :]
        key, _, value = record[len(length) + 1 :].partition(b"=")
        hold(record[-1:] == b"\n", "a PAX record has another length")
        records[key.decode()] = value[:-1].decode(errors="strict" if key in (b"path", b"size") else "replace")
    return records


def tar_files(source, whole):
    """Yields (path, whole(pieces)) for each file; checks the end of the tar."""
    rest = bytearray()

    def take(count):
        while len(rest) < count:
            piece = next(source, None)
            hold(piece is not None, "the tar is cut")
            rest.extend(piece)
        taken = bytes(rest[:count])
        del rest[:count]
        return taken

    def body(size):
        for start in range(0, size, PIECE):
            yield take(min(PIECE, size - start))
        hold(not any(take(-size % 512)), "there are bytes in the padding")

    pax, long_name = {}, None
    while any(header := take(512)):
        blank = header[:148] + b" " * 8 + header[156:]
        hold(read_number(header[148:156]) == sum(blank) and header[257:265] in MAGICS, "this is no tar header")
        kind, size = chr(header[156]), read_number(header[124:136])
        if kind == "x":
            pax = read_pax(b"".join(body(size)))
            continue
        if kind == "g":
            effects = {"path", "size", "hdrcharset"} & read_pax(b"".join(body(size))).keys()
            hold(not effects, "a header changes all that follow")
            continue
        if kind == "L":
            long_name = b"".join(body(size)).rstrip(b"\0").decode()
            continue
        path = pax.get("path", long_name)
        if path is None:  # else the header's own name may be cut anywhere, also within a character
            name = header[:100].partition(b"\0")[0]
            prefix = header[345:500].partition(b"\0")[0] if header[257:265] == b"ustar\x0000" else b""
            path = (prefix + b"/" + name if prefix else name).decode()
        size = int(pax.get("size", size))
        pax, long_name = {}, None
        path = path.removeprefix("./")
        if kind == "5":
            hold(size == 0, "a folder has a size")
            continue
        hold(kind in "0\0", f"{path!r} is neither file nor folder")
        yield path, whole(body(size))
    hold(not any(take(512)) and not any(rest) and not any(map(any, source)), "the tar has no end, or something behind it")


def digests_in_sequence(name):
    """Verifies a whole archive in the order of its bytes, in bounded memory; returns its entries."""

    def source():
        with open(name, "rb") as file:
            while piece := file.read(PIECE):
                yield piece

    def measure(pieces):
        size, found, kept = 0, hashlib.sha256(), []
        for piece in pieces:
            size += len(piece)
            found.update(piece)
            if size <= 256 * PIECE and wanted:
                kept.append(piece)
        return size, "sha256:" + found.hexdigest(), b"".join(kept)

    with open(name, "rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    found, manifest, wanted = {}, None, False  # what desktops left is compared where the manifest lists it
    for path, pieces in tar_files(inflate(source()) if is_gzip else source(), whole=lambda pieces: pieces):
        wanted = path == "manifest.json"
        size, digest, kept = measure(pieces)
        hold(path not in found and not (wanted and manifest), f"{path!r} is there twice")
        if wanted:
            manifest = kept
        elif path not in IGNORED:
            found[path] = (size, digest)
    hold(manifest is not None, "there is no manifest, and so no snapshot")
    entries = parse_manifest(manifest)
    for path in [path for path in found if path not in entries and LEFT_BY_DESKTOP.fullmatch(path)]:
        del found[path]
    hold(found == entries, "files and manifest differ")
    return entries


def main():
    options = argparse.ArgumentParser()
    options.add_argument("snapshots", nargs="+")
    options.add_argument("--by", choices=["table", "sequence"])
    options.add_argument("--entry")
    options.add_argument("--range", default="")
    options = options.parse_args()
    return max([read_one(name, options) for name in options.snapshots])


def read_one(name, options):
    try:
        if os.path.isdir(name):
            snapshot = Directory(name)
        elif options.by == "table" or options.entry is not None:
            snapshot = Indexed(name)
        else:
            snapshot = None
        if options.range:
            start, end = map(int, options.range.split(":"))
            for piece in snapshot.pieces(options.entry, start, end):
                sys.stdout.buffer.write(piece)
        elif options.entry is not None:
            hold(options.entry in snapshot.entries, f"there is no {options.entry!r}")
            for piece in verified(options.entry, snapshot.entries[options.entry], snapshot.pieces(options.entry)):
                sys.stdout.buffer.write(piece)
        else:
            entries = snapshot.entries if snapshot else digests_in_sequence(name)
            for path, expected in entries.items():
                for _ in verified(path, expected, snapshot.pieces(path)) if snapshot else ():
                    pass
                print(json.dumps([path, expected[0], expected[1].removeprefix("sha256:")], ensure_ascii=True))
    except (Invalid, OSError, zlib.error, KeyError, ValueError) as error:
        print(f"Cannot read {name}: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

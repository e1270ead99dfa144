// Reads an archive with containerd's own library, and prints a JSON array [path, size, sha256] for each file in it.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o estargz_reader estargz_reader.go
//	estargz_reader ARCHIVE [groups]
//
// Every chunk is verified by the library's verifiers, which take no two files in one member; with "groups" they are left out,
// and files alone are read. Exit code 3 means that the library is too old to know groups.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"sort"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
)

// verifyChunks reads a file chunk by chunk, as lazy pulling does.
func verifyChunks(reader *estargz.Reader, verifiers estargz.TOCEntryVerifier, path string, file *io.SectionReader) error {
	for offset := int64(0); offset < file.Size(); {
		chunk, found := reader.ChunkEntryForOffset(path, offset)
		if !found || chunk.ChunkOffset != offset {
			return fmt.Errorf("%q has no chunk at %d", path, offset)
		}
		verifier, err := verifiers.Verifier(chunk)
		if err != nil {
			return err
		}
		if _, err := io.Copy(verifier, io.NewSectionReader(file, offset, chunk.ChunkSize)); err != nil {
			return err
		}
		if !verifier.Verified() {
			return fmt.Errorf("%q at %d has another digest than the table says", path, offset)
		}
		offset += chunk.ChunkSize
	}
	return nil
}

func collect(entry *estargz.TOCEntry, folder string, paths []string) []string {
	entry.ForeachChild(func(name string, child *estargz.TOCEntry) bool {
		if child.Type == "dir" {
			paths = collect(child, folder+name+"/", paths)
		} else {
			paths = append(paths, folder+name)
		}
		return true
	})
	return paths
}

func read(name string, hasGroups bool) error {
	blob, err := os.Open(name)
	if err != nil {
		return err
	}
	info, err := blob.Stat()
	if err != nil {
		return err
	}
	reader, err := estargz.Open(
		io.NewSectionReader(blob, 0, info.Size()),
		estargz.WithDecompressors(new(zstdchunked.Decompressor)),
	)
	if err != nil {
		return err
	}
	var verifiers estargz.TOCEntryVerifier
	if !hasGroups {
		if verifiers, err = reader.VerifyTOC(reader.TOCDigest()); err != nil {
			return err
		}
	}
	root, found := reader.Lookup("")
	if !found {
		return fmt.Errorf("the table is empty")
	}
	paths := collect(root, "", nil)
	sort.Strings(paths)
	for _, path := range paths {
		file, err := reader.OpenFile(path)
		if err != nil {
			return err
		}
		if verifiers != nil {
			if err := verifyChunks(reader, verifiers, path, file); err != nil {
				return err
			}
		}
		digest := sha256.New()
		if _, err := io.Copy(digest, file); err != nil {
			return fmt.Errorf("%q: %w", path, err)
		}
		line, err := json.Marshal([]any{path, file.Size(), hex.EncodeToString(digest.Sum(nil))})
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
	return nil
}

func main() {
	hasGroups := len(os.Args) > 2 && os.Args[2] == "groups"
	if _, isKnown := reflect.TypeOf(estargz.TOCEntry{}).FieldByName("InnerOffset"); hasGroups && !isKnown {
		fmt.Fprintln(os.Stderr, "this version of the library knows no groups")
		os.Exit(3)
	}
	if err := read(os.Args[1], hasGroups); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

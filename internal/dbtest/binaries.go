package dbtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// version is a server's: major, minor.
type version [2]int

func (v version) String() string { return fmt.Sprintf("%d.%d", v[0], v[1]) }

// program is an executable with its version.
type program struct {
	path    string
	version version
}

// newest finds the newest of the programs with one of the names: on PATH, and where packages put servers. What a
// program says of its version must match the pattern, whose groups are major and minor.
func newest(ctx context.Context, names, directories []string, says *regexp.Regexp) (program, error) {
	var found []program
	var errs []error
	for _, path := range candidates(names, directories) {
		output, err := exec.CommandContext(ctx, path, "--version").Output()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s --version: %w", path, err))
			continue
		}
		// MySQL's server has the name of MariaDB's.
		if v, ok := parseVersion(says, output); ok {
			found = append(found, program{path, v})
		}
	}
	if len(found) == 0 {
		return program{}, errors.Join(append(errs, exec.ErrNotFound)...)
	}
	return slices.MaxFunc(found, func(a, b program) int { return slices.Compare(a.version[:], b.version[:]) }), nil
}

func parseVersion(says *regexp.Regexp, output []byte) (version, bool) {
	groups := says.FindSubmatch(output)
	if groups == nil {
		return version{}, false
	}
	var v version
	for i := range v {
		if len(groups[i+1]) == 0 {
			continue // a beta of PostgreSQL has no minor version
		}
		number, err := strconv.Atoi(string(groups[i+1]))
		if err != nil {
			return version{}, false
		}
		v[i] = number
	}
	return v, true
}

// candidates lists the real paths of executables, each once.
func candidates(names, directories []string) []string {
	var paths []string
	add := func(path string) {
		target, err := filepath.EvalSymlinks(path)
		if err != nil || slices.Contains(paths, target) {
			return // there is none
		}
		paths = append(paths, target)
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			add(path)
		}
		for _, pattern := range directories {
			matches, err := filepath.Glob(filepath.Join(pattern, name))
			if err != nil {
				panic(err) // the patterns are constants of this package
			}
			for _, path := range matches {
				add(path)
			}
		}
	}
	return paths
}

// beside finds a program that belongs to a server: in the server's directory or near it, else on PATH.
func beside(server string, names ...string) (string, error) {
	directory := filepath.Dir(server)
	for _, name := range names {
		for _, near := range []string{".", "../bin", "../scripts"} {
			path := filepath.Join(directory, near, name)
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				return path, nil
			}
		}
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("none of %q is in %s or on PATH", names, directory)
}

// Gensdk writes the SDK of one language from a Pulumi schema; with -check it only validates the schema.
// Every diagnostic is an error, a warning too: what the generator only grumbles about, users meet later.
//
//	gensdk SCHEMA (python|nodejs) OUTDIR
//	gensdk -check SCHEMA
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

const tool = "gensdk"

func main() {
	check := flag.Bool("check", false, "only validate the schema and print what is wrong with it")
	flag.Usage = func() {
		fmt.Fprintf(os.Stderr, "usage: %s SCHEMA (python|nodejs) OUTDIR\n       %[1]s -check SCHEMA\n", tool)
	}
	flag.Parse()
	if want := map[bool]int{true: 1, false: 3}[*check]; flag.NArg() != want {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", tool, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	loader := schema.NewPluginLoader(nil) // our schema refers to no other package, so nothing is ever loaded
	pkg, err := bind(args[0], loader)
	if err != nil || len(args) == 1 {
		return err
	}
	files, err := generate(pkg, args[1], loader)
	if err != nil {
		return fmt.Errorf("generate the %s SDK: %w", args[1], err)
	}
	for name, content := range files {
		path := filepath.Join(args[2], filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func bind(path string, loader schema.ReferenceLoader) (*schema.Package, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var spec schema.PackageSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	// BindSpec, unlike ImportSpec, also holds the schema against Pulumi's metaschema.
	pkg, diagnostics, err := schema.BindSpec(spec, loader, schema.ValidationOptions{})
	for _, diagnostic := range diagnostics {
		fmt.Fprintln(os.Stderr, diagnostic)
	}
	if err == nil && len(diagnostics) > 0 {
		err = fmt.Errorf("%s: %d diagnostic(s)", path, len(diagnostics))
	}
	return pkg, err
}

func generate(pkg *schema.Package, language string, loader schema.ReferenceLoader) (map[string][]byte, error) {
	switch language {
	case "python":
		return python.GeneratePackage(tool, pkg, nil, loader)
	case "nodejs":
		languages := map[string]schema.Language{"nodejs": nodejs.Importer}
		if err := pkg.ImportLanguages(languages); err != nil {
			return nil, err
		}
		return nodejs.GeneratePackage(tool, pkg, nil, nil, false, loader)
	}
	return nil, fmt.Errorf("unknown language %q", language)
}

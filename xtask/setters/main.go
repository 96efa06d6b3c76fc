// Command setters writes images into marked fields, as Flux' image automation does, by the setters that it is made of.
//
//	setters DIRECTORY NAMESPACE:POLICY IMAGE
//
// Every field of a YAML file in DIRECTORY whose line ends in # {"$imagepolicy": "NAMESPACE:POLICY"} becomes IMAGE. Files without such a
// field are not written.
package main

import (
	"errors"
	"fmt"
	"os"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/kustomize/kyaml/fieldmeta"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/setters2"
)

func main() {
	if err := set(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func set(arguments []string) error {
	if len(arguments) != 3 {
		return errors.New("a directory, a policy and an image")
	}
	directory, policy, image := arguments[0], arguments[1], arguments[2]
	// Flux' own marker; and no schema of Kubernetes, which knows nothing of it.
	fieldmeta.SetShortHandRef("$imagepolicy")
	openapi.SuppressBuiltInSchemaUse()
	setter := spec.StringProperty()
	setter.AddExtension(setters2.K8sCliExtensionKey, map[string]any{
		"setter": map[string]string{"name": policy, "value": image},
	})
	schema := &spec.Schema{SchemaProps: spec.SchemaProps{
		Definitions: spec.Definitions{fieldmeta.SetterDefinitionPrefix + policy: *setter},
	}}
	files := &kio.LocalPackageReadWriter{PackagePath: directory, PreserveSeqIndent: true, NoDeleteFiles: true}
	return kio.Pipeline{
		Inputs:  []kio.Reader{files},
		Filters: []kio.Filter{setters2.SetAll(&setters2.Set{SetAll: true, SettersSchema: schema})},
		Outputs: []kio.Writer{files},
		// Nothing is marked: nothing is written.
		ContinueOnEmptyResult: true,
	}.Execute()
}

// Command gitops says what Argo CD and Flux make of an object, by the libraries that they use themselves.
//
// It reads a question as JSON and prints the answer as JSON:
//
//	gitops health   {"script", "object"}  the health of an object, by an Argo CD script
//	gitops actions  {"script", "object"}  the actions that an Argo CD script offers for it
//	gitops act      {"script", "object"}  the merge patch that an action of Argo CD comes to
//	gitops kstatus  {"object"}            its status, as Flux waits for it
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	Script string                    `json:"script"`
	Object unstructured.Unstructured `json:"object"`
}

func main() {
	if err := answer(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(arguments []string, in io.Reader, out io.Writer) error {
	if len(arguments) != 1 {
		return errors.New("one of: health, actions, act, kstatus")
	}
	var asked question
	if err := json.NewDecoder(in).Decode(&asked); err != nil {
		return err
	}
	said, err := say(arguments[0], &asked)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(said)
}

func say(what string, asked *question) (any, error) {
	switch what {
	case "health":
		return healthOf(asked)
	case "actions":
		return run(asked.Script, asked.Object.Object)
	case "act":
		return patchOf(asked)
	case "kstatus":
		result, err := status.Compute(&asked.Object)
		if err != nil {
			return nil, err
		}
		return verdict{Status: string(result.Status), Message: result.Message}, nil
	default:
		return nil, fmt.Errorf("nothing is known of %q", what)
	}
}

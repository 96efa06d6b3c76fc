package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	lua "github.com/yuin/gopher-lua"
	luajson "layeh.com/gopher-json"
)

// As in Argo CD 3: util/lua/lua.go.
const scriptTimeout = time.Second

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func healthOf(asked *question) (*verdict, error) {
	said, err := run(asked.Script, asked.Object.Object)
	if err != nil {
		return nil, err
	}
	var health verdict
	if err := json.Unmarshal(said, &health); err != nil {
		return nil, err
	}
	known := []string{"Unknown", "Progressing", "Suspended", "Healthy", "Degraded", "Missing"}
	if !slices.Contains(known, health.Status) {
		return nil, fmt.Errorf("%q is no health", health.Status)
	}
	return &health, nil
}

// patchOf runs an action. Argo CD sends the difference between the object that the script was given and the one that it returns.
func patchOf(asked *question) (json.RawMessage, error) {
	said, err := run(asked.Script, asked.Object.Object)
	if err != nil {
		return nil, err
	}
	var changed map[string]any
	if err := json.Unmarshal(said, &changed); err != nil {
		return nil, fmt.Errorf("an action returns one object: %w", err)
	}
	before, err := asked.Object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var original map[string]any
	if err := json.Unmarshal(before, &original); err != nil {
		return nil, err
	}
	after, err := json.Marshal(withEmptyObjects(changed, original))
	if err != nil {
		return nil, err
	}
	return jsonpatch.CreateMergePatch(before, after)
}

// withEmptyObjects puts back what Lua cannot tell: an empty object comes out as an empty array.
func withEmptyObjects(changed, original any) any {
	switch value := changed.(type) {
	case map[string]any:
		if before, ok := original.(map[string]any); ok {
			for key := range value {
				value[key] = withEmptyObjects(value[key], before[key])
			}
		}
	case []any:
		switch before := original.(type) {
		case map[string]any:
			if len(value) == 0 {
				return before
			}
		case []any:
			for i := range min(len(value), len(before)) {
				value[i] = withEmptyObjects(value[i], before[i])
			}
		}
	}
	return changed
}

// run runs a script as Argo CD runs those of its argocd-cm: with the global obj, and no library but the basic ones. What it returns is a
// table.
func run(script string, object map[string]any) (json.RawMessage, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	libraries := []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage},
		{lua.BaseLibName, lua.OpenBase},
		{lua.TabLibName, lua.OpenTable},
	}
	for _, library := range libraries {
		if err := call(state, library.open, library.name); err != nil {
			return nil, err
		}
	}
	clock, err := clockOf(state)
	if err != nil {
		return nil, err
	}
	state.PreloadModule(lua.OsLibName, clock)
	ctx, cancel := context.WithTimeout(context.Background(), scriptTimeout)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", valueOf(state, object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return nil, fmt.Errorf("a script returns a table, and not a %s", state.Get(-1).Type())
	}
	return luajson.Encode(table)
}

func call(state *lua.LState, function lua.LGFunction, name string) error {
	return state.CallByParam(lua.P{Fn: state.NewFunction(function), Protect: true}, lua.LString(name))
}

// clockOf is what Argo CD leaves of the library os: the time and the date, for require("os") alone.
func clockOf(state *lua.LState) (lua.LGFunction, error) {
	if err := call(state, lua.OpenOs, lua.OsLibName); err != nil {
		return nil, err
	}
	whole := state.GetGlobal(lua.OsLibName)
	kept := state.NewTable()
	for _, name := range []string{"time", "date"} {
		kept.RawSetString(name, state.GetField(whole, name))
	}
	state.SetGlobal(lua.OsLibName, lua.LNil)
	loaded := state.GetField(state.GetGlobal("package"), "loaded")
	state.SetField(loaded, lua.OsLibName, lua.LNil)
	return func(state *lua.LState) int {
		state.Push(kept)
		return 1
	}, nil
}

func valueOf(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		table := state.CreateTable(len(value), 0)
		for _, item := range value {
			table.Append(valueOf(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, valueOf(state, item))
		}
		return table
	default:
		if value != nil {
			panic(fmt.Sprintf("JSON has no %s", reflect.TypeOf(value)))
		}
		return lua.LNil
	}
}

//! Go templates, as far as service templates and charts use them: actions, pipelines, `if`, `range`, `with`, variables,
//! `define` and `template`, trimming, and the common functions.
//!
//! Values are JSON. What Go prints differently from JSON (`<nil>`, `<no value>`, `[a b]`, `map[a:b]`) is printed as Go does.

mod eval;
mod funcs;
mod parse;
mod sprig;

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use parse::Node;

/// Named templates.
pub(crate) type Defined = BTreeMap<String, Vec<Node>>;

/// A parsed template with those it defines.
#[derive(Debug)]
pub(crate) struct Template {
    nodes: Vec<Node>,
    defined: Defined,
}

impl Template {
    /// Parses a text; the error is for people.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (nodes, defined) = parse::parse(text)?;
        Ok(Self { nodes, defined })
    }

    /// The templates this text defines, for others to use.
    pub(crate) fn defined(&self) -> &Defined {
        &self.defined
    }

    /// Renders the template with `data` as its dot; `shared` are named templates of other texts.
    pub(crate) fn render(&self, data: &Value, shared: &Defined) -> Result<String, String> {
        let mut all = shared.clone();
        all.extend(self.defined.clone());
        eval::render(&self.nodes, data, &all)
    }
}

/// Parses and renders in one go.
pub(crate) fn render(text: &str, data: &Value) -> Result<String, String> {
    if !text.contains("{{") {
        return Ok(text.to_owned());
    }
    Template::parse(text)?.render(data, &Defined::new())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn show(text: &str) -> String {
        let data = json!({
            "name": "web", "replicas": "2", "debug": true, "off": false, "nothing": null, "n": 3,
            "list": ["a", "b"], "empty": [], "map": { "k": "v", "a": 1 },
            "Values": { "image": { "repository": "r/web", "tag": "v1" }, "port": 8080 },
        });
        render(text, &data).unwrap_or_else(|error| format!("ERROR {error}"))
    }

    #[test]
    fn fields_and_missing_ones_are_printed_as_in_go() {
        assert_eq!(show("{{.name}}-{{ .Values.image.tag }}"), "web-v1");
        assert_eq!(show("{{.missing}}/{{.nothing}}"), "<no value>/<no value>");
        assert_eq!(show("{{.list}} {{.map}}"), "[a b] map[a:1 k:v]");
        assert_eq!(show("{{ .name.deeper }}").split(' ').next(), Some("ERROR"));
    }

    #[test]
    fn conditions_choose_their_branch() {
        assert_eq!(show("{{if .debug}}yes{{else}}no{{end}}"), "yes");
        assert_eq!(
            show("{{if .off}}a{{else if eq .name \"web\"}}b{{else}}c{{end}}"),
            "b"
        );
        assert_eq!(
            show("{{if and .debug (not .off) (gt .n 2)}}all{{end}}"),
            "all"
        );
        assert_eq!(
            show("{{if or .empty .missing}}some{{else}}none{{end}}"),
            "none"
        );
    }

    #[test]
    fn ranges_walk_lists_and_maps_with_their_variables() {
        assert_eq!(show("{{range .list}}[{{.}}]{{end}}"), "[a][b]");
        assert_eq!(
            show("{{range $i, $v := .list}}{{$i}}={{$v}}{{$.name}};{{end}}"),
            "0=aweb;1=bweb;"
        );
        assert_eq!(
            show("{{range $k, $v := .map}}{{$k}}={{$v}};{{end}}"),
            "a=1;k=v;"
        );
        assert_eq!(show("{{range .empty}}x{{else}}none{{end}}"), "none");
    }

    #[test]
    fn with_and_variables_hold_values() {
        assert_eq!(show("{{with .Values.image}}{{.tag}}{{end}}"), "v1");
        assert_eq!(
            show("{{$x := .name}}{{if .debug}}{{$x = \"db\"}}{{end}}{{$x}}"),
            "db"
        );
    }

    #[test]
    fn whitespace_is_trimmed_and_comments_vanish() {
        assert_eq!(show("a {{- /* no */ -}} b"), "ab");
        assert_eq!(
            show("a\n  {{- if .debug }}\n  b\n  {{- end }}\nc"),
            "a\n  b\nc"
        );
    }

    #[test]
    fn functions_take_the_pipeline_as_their_last_argument() {
        assert_eq!(show("{{ .name | upper | quote }}"), "\"WEB\"");
        assert_eq!(
            show("{{ .missing | default \"x\" }}{{ default 1 .n }}"),
            "x3"
        );
        assert_eq!(show("{{ printf \"%s:%d\" .name .n }}"), "web:3");
        assert_eq!(
            show("x:{{ toYaml .map | nindent 2 }}"),
            "x:\n  a: 1\n  k: v"
        );
        assert_eq!(show("{{ add .n 2 }}{{ mul 2 3 }}{{ len .list }}"), "562");
        assert_eq!(show("{{ join \",\" .list }}{{ index .map \"k\" }}"), "a,bv");
        assert_eq!(
            show("{{ .name | trunc 2 }}{{ ternary \"y\" \"n\" .off }}"),
            "wen"
        );
    }

    #[test]
    fn defined_templates_are_used_by_name() {
        assert_eq!(
            show(
                "{{define \"n\"}}<{{.name}}>{{end}}{{template \"n\" .}}{{include \"n\" . | upper}}"
            ),
            "<web><WEB>"
        );
    }

    #[test]
    fn ranges_are_left_early() {
        assert_eq!(
            show("{{range .list}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}"),
            "a"
        );
        assert_eq!(
            show("{{range .list}}{{if eq . \"a\"}}{{continue}}{{end}}{{.}}{{end}}"),
            "b"
        );
        assert!(show("{{break}}").starts_with("ERROR"));
    }

    #[test]
    fn maps_in_variables_can_be_changed() {
        assert_eq!(
            show("{{$m := dict \"a\" 1}}{{$_ := set $m \"b\" 2}}{{$_ := unset $m \"a\"}}{{$m}}"),
            "map[b:2]"
        );
    }

    #[test]
    fn lists_and_files_have_their_methods() {
        assert_eq!(show("{{.list.Has \"a\"}}{{.list.Has \"z\"}}"), "truefalse");
        assert_eq!(show("[{{.map.Get \"k\"}}{{.map.Get \"z\"}}]"), "[v]");
        assert!(show("{{.name.Nope \"a\"}}").starts_with("ERROR"));
    }

    #[test]
    fn texts_are_templates_again_with_tpl() {
        assert_eq!(
            show("{{define \"n\"}}<{{.name}}>{{end}}{{tpl \"{{include `n` .}}{{.n}}\" .}}"),
            "<web>3"
        );
    }

    #[test]
    fn functions_that_must_work_are_the_same_functions() {
        assert_eq!(
            show("{{ mustToJson .list }}{{ mustUniq .list }}"),
            "[\"a\",\"b\"][a b]"
        );
    }

    #[test]
    fn maps_are_merged_deeply() {
        let maps = "(dict \"m\" (dict \"x\" 1)) (dict \"m\" (dict \"x\" 2 \"y\" 2))";
        assert_eq!(
            show(&format!("{{{{ merge {maps} }}}}")),
            "map[m:map[x:1 y:2]]"
        );
        assert_eq!(
            show(&format!("{{{{ mergeOverwrite {maps} }}}}")),
            "map[m:map[x:2 y:2]]"
        );
    }

    #[test]
    fn broken_templates_are_errors() {
        for text in ["{{if .a}}", "{{end}}", "{{.a", "{{nosuchfunction .a}}"] {
            assert!(show(text).starts_with("ERROR"), "{text}");
        }
    }
}

//! One page, read for what can be checked.

use std::collections::BTreeSet;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::anchor::Anchors;

/// A page.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Page {
    /// Headings, in order.
    pub headings: Vec<Heading>,
    /// Links, in order.
    pub links: Vec<Link>,
    /// Blocks of code, in order.
    pub blocks: Vec<Block>,
    /// Lines with HTML, which would be shown as anything but what was written.
    pub html: Vec<usize>,
}

/// A heading, with what is said below it until the next one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Heading {
    /// 1 for the page's own.
    pub level: u8,
    /// As it is read.
    pub text: String,
    /// What a link to it ends in.
    pub anchor: String,
    /// Words of code in the text below it.
    pub words: BTreeSet<String>,
}

/// A link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Line of the page.
    pub line: usize,
    /// Where it leads, as it is written.
    pub target: String,
}

/// A block of code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Block {
    /// Line of the page.
    pub line: usize,
    /// First word of its mark.
    pub language: String,
    /// What is in it.
    pub text: String,
}

impl Page {
    /// Reads a page.
    pub(super) fn parse(text: &str) -> Self {
        let options = Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS;
        let mut page = Self::default();
        let mut anchors = Anchors::default();
        let mut heading: Option<Heading> = None;
        let mut block: Option<Block> = None;
        let line = |at: &Range<usize>| text[..at.start].matches('\n').count() + 1;
        for (event, at) in Parser::new_ext(text, options).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { level, .. }) => {
                    heading = Some(Heading {
                        level: level as u8,
                        ..Heading::default()
                    });
                }
                Event::End(TagEnd::Heading(_)) => {
                    if let Some(mut done) = heading.take() {
                        done.anchor = anchors.next(&done.text);
                        page.headings.push(done);
                    }
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let mark = match &kind {
                        CodeBlockKind::Fenced(mark) => mark.as_ref(),
                        CodeBlockKind::Indented => "",
                    };
                    block = Some(Block {
                        line: line(&at),
                        language: mark.split([' ', ',']).next().unwrap_or_default().to_owned(),
                        text: String::new(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(Link {
                        line: line(&at),
                        target: dest_url.into_string(),
                    });
                }
                // A comment is not shown.
                Event::Html(html) if html.starts_with("<!--") => {}
                Event::Html(_) | Event::InlineHtml(_) => page.html.push(line(&at)),
                Event::Code(code) => match (&mut heading, page.headings.last_mut()) {
                    (Some(heading), _) => heading.text.push_str(&code),
                    (None, Some(above)) => {
                        above.words.insert(code.into_string());
                    }
                    (None, None) => {}
                },
                Event::Text(said) => {
                    if let Some(block) = &mut block {
                        block.text.push_str(&said);
                    } else if let Some(heading) = &mut heading {
                        heading.text.push_str(&said);
                    }
                }
                _ => {}
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_for_headings_links_blocks_words_and_html() {
        let page = Page::parse(
            "<!-- X -->\n\n# A `b`\n\nSee `c` [there](d.md#e).\n\n```yaml\nf: 1\n```\n\n## G\n\n<br>\n",
        );
        let heading = |level, text: &str, anchor: &str, words: &[&str]| Heading {
            level,
            text: text.to_owned(),
            anchor: anchor.to_owned(),
            words: words.iter().map(ToString::to_string).collect(),
        };
        let expected = Page {
            headings: vec![heading(1, "A b", "a-b", &["c"]), heading(2, "G", "g", &[])],
            links: vec![Link {
                line: 5,
                target: "d.md#e".to_owned(),
            }],
            blocks: vec![Block {
                line: 7,
                language: "yaml".to_owned(),
                text: "f: 1\n".to_owned(),
            }],
            html: vec![13],
        };
        assert_eq!(page, expected);
    }
}

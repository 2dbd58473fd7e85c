//! Server-sent events: a parser fed with lines, and nothing else.

/// One event of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// The number to resume after.
    pub(crate) id: Option<String>,
    /// The event's type.
    pub(crate) kind: Option<String>,
    /// The data lines, joined.
    pub(crate) data: String,
}

/// What one line meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More lines belong to it.
    More,
    /// A comment: the server is alive.
    Heartbeat,
    /// An event is complete.
    Event(Event),
}

/// Collects the lines of one event.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    event: Event,
    any: bool,
}

impl Parser {
    /// Takes one line without its line end.
    pub(crate) fn line(&mut self, line: &str) -> Step {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return if std::mem::take(&mut self.any) { Step::Event(event) } else { Step::More };
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => return Step::Heartbeat,
            "id" => self.event.id = Some(value.to_owned()),
            "event" => self.event.kind = Some(value.to_owned()),
            "data" => {
                if self.any {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.any = true;
            }
            _ => {}
        }
        Step::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<Step> {
        let mut parser = Parser::default();
        text.lines().map(|l| parser.line(l)).filter(|s| *s != Step::More).collect()
    }

    #[test]
    fn events_comments_and_unknown_fields() {
        let steps = parse(": hi\n\nid: 7\nevent: phase\ndata: {\ndata: }\nretry: 5\n\ndata: x\n\n");
        let first = Event { id: Some("7".into()), kind: Some("phase".into()), data: "{\n}".into() };
        let second = Event { data: "x".into(), ..Event::default() };
        assert_eq!(steps, [Step::Heartbeat, Step::Event(first), Step::Event(second)]);
    }

    #[test]
    fn an_event_without_data_is_none() {
        assert_eq!(parse("id: 9\n\n"), []);
    }
}

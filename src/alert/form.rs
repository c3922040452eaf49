//! The forms in which receivers take a message. Nobody takes all: Slack refuses what it does not know, and Teams wants a card.

use serde_json::{Value, json};

use super::finding::Finding;
use super::message::Message;

/// How a receiver wants a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A text and the findings as fields, for programs and for chats that heed `text` and overlook the rest.
    Plain,
    /// An incoming webhook of Slack.
    /// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>
    Slack,
    /// A workflow of Teams, by the trigger "When a Teams webhook request is received".
    /// <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>
    Teams,
}

/// Hosts of Slack's webhooks.
const SLACK: [&str; 2] = ["hooks.slack.com", "hooks.slack-gov.com"];

/// How the hosts of workflows end, and those of the connectors that they took the place of.
const TEAMS: [&str; 5] = [
    ".logic.azure.com",
    ".logic.azure.us",
    ".powerplatform.com",
    ".powerplatform.us",
    ".webhook.office.com",
];

impl Form {
    /// The form by the receiver's host.
    pub fn of_host(host: &str) -> Self {
        if SLACK.contains(&host) {
            Self::Slack
        } else if TEAMS.iter().any(|suffix| host.ends_with(suffix)) {
            Self::Teams
        } else {
            Self::Plain
        }
    }

    /// The message in this form.
    pub fn body(self, message: &Message) -> Value {
        match self {
            Self::Plain => plain(message),
            Self::Slack => slack(message),
            Self::Teams => teams(message),
        }
    }
}

fn plain(message: &Message) -> Value {
    let mut body = json!({
        "source": "dbvc",
        "text": message.text(),
        "findings": message.findings.iter().map(fields).collect::<Vec<_>>(),
    });
    if message.left_out > 0 {
        body["leftOut"] = message.left_out.into();
    }
    body
}

fn fields(finding: &Finding) -> Value {
    let [added, removed, changed] = finding.changes.map_or([None; 3], |counts| counts.map(Some));
    json!({
        "kind": finding.kind.as_str(),
        "eventId": finding.event_id,
        "environment": finding.environment,
        "databaseId": finding.database_id,
        "sequence": finding.sequence,
        "at": finding.at,
        "executor": finding.executor,
        "migrationId": finding.migration_id,
        "runId": finding.run_id,
        "executionId": finding.execution_id,
        "isRollback": finding.is_rollback,
        "errorNumber": finding.error.map(|(number, _)| number),
        "errorLine": finding.error.and_then(|(_, line)| line),
        "added": added,
        "removed": removed,
        "changed": changed,
        "names": finding.names,
    })
}

/// Slack reads no marks in the text, and the three characters that would still mean something are written as it asks.
/// <https://docs.slack.dev/messaging/formatting-message-text>
fn slack(message: &Message) -> Value {
    let text = message
        .text()
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    json!({ "text": text, "mrkdwn": false })
}

/// A card of text runs, which unlike text blocks are no Markdown: whatever a name holds is shown as it is.
/// <https://adaptivecards.io/explorer/TextRun.html>
fn teams(message: &Message) -> Value {
    let block = |text: &str, more: Value| {
        let mut run = json!({ "type": "TextRun", "text": text });
        if let (Some(run), Value::Object(more)) = (run.as_object_mut(), more) {
            run.extend(more);
        }
        json!({ "type": "RichTextBlock", "inlines": [run] })
    };
    let title = block(&message.title, json!({ "weight": "Bolder" }));
    let lines = message.lines.iter().map(|line| block(line, json!({})));
    let body: Vec<Value> = std::iter::once(title).chain(lines).collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
            },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::tests::{drift, failed};
    use super::super::message::messages;
    use super::*;

    fn message(finding: Finding) -> Message {
        messages(vec![finding], 0).remove(0)
    }

    #[test]
    fn the_host_says_which_form() {
        for (host, form) in [
            ("hooks.slack.com", Form::Slack),
            ("hooks.slack.com.example.com", Form::Plain),
            ("prod-03.westus.logic.azure.com", Form::Teams),
            ("0123.4a.environment.api.powerplatform.com", Form::Teams),
            ("lpa.webhook.office.com", Form::Teams),
            ("evillogic.azure.com.example.com", Form::Plain),
            ("example.com", Form::Plain),
            ("localhost", Form::Plain),
        ] {
            assert_eq!(Form::of_host(host), form, "{host}");
        }
    }

    #[test]
    fn slack_gets_a_text_without_marks_and_nothing_else() {
        let body = Form::Slack.body(&message(drift(&["table <!channel> & *b* _c_"])));
        let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["mrkdwn", "text"]);
        assert_eq!(body["mrkdwn"], false);
        let text = body["text"].as_str().unwrap();
        assert!(
            text.contains("table &lt;!channel&gt; &amp; *b* _c_"),
            "{text}"
        );
    }

    #[test]
    fn teams_gets_a_card_whose_texts_are_shown_as_they_are() {
        let body = Form::Teams.body(&message(drift(&["table [x](https://example.com) **b**"])));
        assert_eq!(body["type"], "message");
        let attachment = &body["attachments"][0];
        assert_eq!(
            attachment["contentType"],
            "application/vnd.microsoft.card.adaptive"
        );
        let card = &attachment["content"];
        assert_eq!(card["type"], "AdaptiveCard");
        let blocks = card["body"].as_array().unwrap();
        assert!(blocks.iter().all(|block| block["type"] == "RichTextBlock"));
        let texts: Vec<&str> = blocks
            .iter()
            .map(|block| block["inlines"][0]["text"].as_str().unwrap())
            .collect();
        assert_eq!(texts[0], "dbvc prod: drift on shop");
        assert_eq!(texts[2], "table [x](https://example.com) **b**");
    }

    #[test]
    fn a_program_gets_fields_and_a_text() {
        let body = Form::Plain.body(&message(failed()));
        assert!(body["text"].as_str().unwrap().starts_with("dbvc prod: "));
        let finding = &body["findings"][0];
        for (field, value) in [
            ("kind", json!("failed")),
            ("eventId", json!("id of failed")),
            ("environment", json!("prod")),
            ("databaseId", json!("shop")),
            ("migrationId", json!("V101__add_user_preferences")),
            ("runId", json!("r1")),
            ("sequence", json!(7)),
            ("errorNumber", json!(2627)),
            ("errorLine", json!(14)),
        ] {
            assert_eq!(finding[field], value, "{field}");
        }
        assert!(!body.to_string().contains("ada@lpa.com"));
    }
}

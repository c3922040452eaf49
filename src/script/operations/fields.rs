//! Reading the fields of an operation, each by its own rule, and collecting what is wrong.

use serde_json::Value;

use super::json::{Kind, Member, Node, Place};
use super::{DefaultTtl, OperationFault, Throughput};

/// The longest name of a container, in characters.
const LONGEST_NAME: usize = 255;

/// The longest id of an item, in bytes.
const LONGEST_ID: usize = 1023;

/// The largest item, in bytes.
const LARGEST_ITEM: usize = 2 * 1024 * 1024;

/// What was found to be wrong so far.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub faults: Vec<OperationFault>,
}

/// The fields of an object that were not read yet.
pub(super) struct Fields<'n, 'a> {
    of: &'static str,
    place: Place,
    left: Vec<&'n Member<'a>>,
    known: Vec<&'static str>,
}

impl<'n, 'a> Fields<'n, 'a> {
    /// Those of an object; `of` says what it is, for messages.
    pub fn of(node: &'n Node<'a>, of: &'static str, reading: &mut Reading) -> Option<Self> {
        let Kind::Object(members) = &node.kind else {
            reading.fault(
                node.place,
                format!("{of} must be an object, not {}", node.word()),
            );
            return None;
        };
        Some(Self {
            of,
            place: node.place,
            left: members.iter().collect(),
            known: Vec::new(),
        })
    }

    pub fn optional(&mut self, name: &'static str) -> Option<&'n Node<'a>> {
        self.known.push(name);
        let found = self.left.iter().position(|member| member.name == name)?;
        Some(&self.left.remove(found).value)
    }

    pub fn required(&mut self, name: &'static str, reading: &mut Reading) -> Option<&'n Node<'a>> {
        let found = self.optional(name);
        if found.is_none() {
            reading.fault(self.place, format!("{} lacks the field {name}", self.of));
        }
        found
    }

    /// JSON has no comments, so that a field is for them.
    pub fn comment(&mut self, reading: &mut Reading) {
        if let Some(node) = self.optional("comment") {
            reading.text("comment", node);
        }
    }

    /// Refuses every field that nobody asked for.
    pub fn finish(self, reading: &mut Reading) {
        for member in self.left {
            let message = format!(
                "{} has no field {}; it has {}",
                self.of,
                member.name,
                self.known.join(", ")
            );
            reading.fault(member.place, message);
        }
    }
}

impl Reading {
    pub fn fault(&mut self, place: Place, message: impl Into<String>) {
        self.faults.push(OperationFault::at(place, message));
    }

    /// All faults, in the order of their places.
    pub fn in_order(mut self) -> Vec<OperationFault> {
        self.faults.sort_by_key(|fault| (fault.line, fault.column));
        self.faults
    }

    fn wrong<T>(&mut self, node: &Node<'_>, message: impl Into<String>) -> Option<T> {
        self.fault(node.place, message);
        None
    }

    pub fn truth(&mut self, field: &str, node: &Node<'_>) -> Option<bool> {
        match node.kind {
            Kind::Truth(truth) => Some(truth),
            _ => self.wrong(
                node,
                format!("{field} must be true or false, not {}", node.word()),
            ),
        }
    }

    pub fn text<'n>(&mut self, field: &str, node: &'n Node<'_>) -> Option<&'n str> {
        match &node.kind {
            Kind::Text(text) => Some(text),
            _ => self.wrong(
                node,
                format!("{field} must be a string, not {}", node.word()),
            ),
        }
    }

    pub fn list<'n, 'a>(&mut self, field: &str, node: &'n Node<'a>) -> Option<&'n [Node<'a>]> {
        match &node.kind {
            Kind::List(nodes) => Some(nodes),
            _ => self.wrong(node, format!("{field} must be a list, not {}", node.word())),
        }
    }

    /// One of several words.
    pub fn one_of(
        &mut self,
        field: &str,
        words: &[&'static str],
        node: &Node<'_>,
    ) -> Option<&'static str> {
        let text = self.text(field, node)?;
        match words.iter().find(|word| **word == text) {
            Some(word) => Some(word),
            None => self.wrong(
                node,
                format!("{field} must be one of {}, not {text}", words.join(", ")),
            ),
        }
    }

    pub fn container_name(&mut self, node: &Node<'_>) -> Option<String> {
        let name = self.text("container", node)?;
        let is_name = !name.is_empty()
            && name.chars().count() <= LONGEST_NAME
            && !name.contains(['/', '\\', '?', '#'])
            && !name.contains(char::is_control)
            && name.trim() == name;
        if is_name {
            return Some(name.to_owned());
        }
        self.wrong(
            node,
            format!(
                "container must be a name of at most {LONGEST_NAME} characters, without / \\ ? # and blanks at its ends"
            ),
        )
    }

    pub fn item_id(&mut self, field: &str, node: &Node<'_>) -> Option<String> {
        let id = self.text(field, node)?;
        let is_id = !id.is_empty()
            && id.len() <= LONGEST_ID
            && !id.contains(['/', '\\', '?', '#'])
            && !id.contains(char::is_control);
        if is_id {
            return Some(id.to_owned());
        }
        self.wrong(
            node,
            format!("{field} must be a string of at most {LONGEST_ID} bytes, without / \\ ? #"),
        )
    }

    /// A path that leads to one property: `/a/b`.
    pub fn property_path(&mut self, field: &str, node: &Node<'_>) -> Option<String> {
        let path = self.text(field, node)?;
        let is_path = path.len() > 1
            && path.starts_with('/')
            && !path.ends_with('/')
            && !path.contains("//")
            && !path.contains(['*', '?', '[', ']']);
        if is_path {
            return Some(path.to_owned());
        }
        self.wrong(
            node,
            format!("{field} must be the path of a property, such as /userId or /address/city"),
        )
    }

    /// One path, or up to three for a hierarchical key.
    pub fn partition_key(&mut self, node: &Node<'_>) -> Option<Vec<String>> {
        if let Kind::Text(_) = node.kind {
            return Some(vec![self.property_path("partitionKey", node)?]);
        }
        let Kind::List(nodes) = &node.kind else {
            return self.wrong(
                node,
                format!(
                    "partitionKey must be a path such as \"/userId\", or a list of up to three, not {}",
                    node.word()
                ),
            );
        };
        if nodes.is_empty() || nodes.len() > 3 {
            return self.wrong(
                node,
                format!(
                    "partitionKey must have one to three paths, not {}",
                    nodes.len()
                ),
            );
        }
        self.different_paths("partitionKey", nodes)
    }

    fn different_paths(&mut self, field: &str, nodes: &[Node<'_>]) -> Option<Vec<String>> {
        let mut paths: Vec<String> = Vec::with_capacity(nodes.len());
        let mut well = true;
        for node in nodes {
            match self.property_path(field, node) {
                Some(path) if paths.contains(&path) => {
                    self.fault(node.place, format!("{field} has {path} twice"));
                    well = false;
                }
                Some(path) => paths.push(path),
                None => well = false,
            }
        }
        well.then_some(paths)
    }

    pub fn unique_keys(&mut self, node: &Node<'_>) -> Option<Vec<Vec<String>>> {
        let mut keys = Vec::new();
        let mut well = true;
        for key in self.list("uniqueKeys", node)? {
            let paths = match &key.kind {
                Kind::List(nodes) if !nodes.is_empty() => self.different_paths("uniqueKeys", nodes),
                _ => self.wrong(
                    key,
                    "uniqueKeys must be a list of lists of paths, such as [[\"/email\"], [\"/first\", \"/last\"]]",
                ),
            };
            match paths {
                Some(paths) => keys.push(paths),
                None => well = false,
            }
        }
        well.then_some(keys)
    }

    pub fn default_ttl(&mut self, node: &Node<'_>) -> Option<DefaultTtl> {
        match &node.kind {
            Kind::Text(text) if text == "off" => return Some(DefaultTtl::Off),
            Kind::Number("-1") => return Some(DefaultTtl::Never),
            Kind::Number(text) => {
                if let Ok(seconds @ 1..=0x7fff_ffff) = text.parse::<u32>() {
                    return Some(DefaultTtl::Seconds(seconds));
                }
            }
            _ => {}
        }
        self.wrong(
            node,
            "defaultTtl must be a number of seconds (1 to 2147483647), -1 for items that expire only when they say so \
             themselves, or \"off\"",
        )
    }

    pub fn throughput(&mut self, node: &Node<'_>) -> Option<Throughput> {
        let mut fields = Fields::of(node, "throughput", self)?;
        let manual = fields.optional("manual");
        let autoscale = fields.optional("autoscaleMax");
        fields.finish(self);
        match (manual, autoscale) {
            (Some(node), None) => Some(Throughput::Manual(self.units("manual", node, 400, 100)?)),
            (None, Some(node)) => Some(Throughput::Autoscale(
                self.units("autoscaleMax", node, 1000, 1000)?,
            )),
            _ => self.wrong(
                node,
                "throughput must be {\"manual\": 400} or {\"autoscaleMax\": 1000}, in request units a second",
            ),
        }
    }

    fn units(&mut self, field: &str, node: &Node<'_>, least: u64, step: u64) -> Option<u64> {
        let number = match node.kind {
            Kind::Number(text) => text.parse::<u64>().ok(),
            _ => None,
        };
        match number {
            Some(units) if units >= least && units % step == 0 => Some(units),
            _ => self.wrong(
                node,
                format!(
                    "{field} must be a multiple of {step} request units a second, at least {least}"
                ),
            ),
        }
    }

    /// An item with its id.
    pub fn item(&mut self, node: &Node<'_>) -> Option<(String, Value)> {
        let Kind::Object(members) = &node.kind else {
            return self.wrong(node, format!("item must be an object, not {}", node.word()));
        };
        let Some(id) = members.iter().find(|member| member.name == "id") else {
            return self.wrong(node, "item lacks its id, which Cosmos DB needs");
        };
        let id = self.item_id("the id of the item", &id.value)?;
        if node.range.len() > LARGEST_ITEM {
            return self.wrong(
                node,
                "item is larger than 2 MB, which Cosmos DB does not take",
            );
        }
        Some((id, node.value()))
    }

    /// The values of a partition key.
    pub fn key_values(&mut self, node: &Node<'_>) -> Option<Vec<Value>> {
        let values: Vec<&Node<'_>> = match &node.kind {
            Kind::List(nodes) => nodes.iter().collect(),
            _ => vec![node],
        };
        let is_plain = |node: &&Node<'_>| !matches!(node.kind, Kind::List(_) | Kind::Object(_));
        if values.is_empty() || values.len() > 3 || !values.iter().all(is_plain) {
            return self.wrong(
                node,
                "partitionKey must be the value of the item's partition key, or a list of up to three for a \
                 hierarchical key; each is a string, a number, true, false or null",
            );
        }
        Some(values.into_iter().map(Node::value).collect())
    }
}

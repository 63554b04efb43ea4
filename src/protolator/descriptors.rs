//! The definitions of messages, by the messages' full names.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// All of this project's definitions.
pub(super) fn descriptors() -> &'static Descriptors {
    static DESCRIPTORS: LazyLock<Descriptors> = LazyLock::new(Descriptors::read);
    &DESCRIPTORS
}

#[derive(Debug, Default)]
pub(super) struct Descriptors {
    messages: BTreeMap<String, Message>,
    enums: BTreeMap<String, BTreeMap<i32, String>>,
}

/// A message's definition.
#[derive(Debug)]
pub(super) struct Message {
    /// With its package: `common.Block`.
    pub(super) name: String,
    /// By number.
    pub(super) fields: BTreeMap<u32, Field>,
    /// What stands for an entry of a map.
    is_entry: bool,
}

/// A field's definition.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) is_repeated: bool,
    /// One of several: absent where it is not set.
    pub(super) is_alternative: bool,
}

/// What a field holds.
#[derive(Debug)]
pub(super) enum Kind {
    Bool,
    /// A number of 32 bits.
    Signed,
    Unsigned,
    /// A number of 64 bits.
    SignedLong,
    UnsignedLong,
    Text,
    Bytes,
    /// By the enumeration's name.
    Enum(String),
    /// By the message's name.
    Message(String),
    /// A kind that no definition here has.
    Other,
}

impl Descriptors {
    fn read() -> Self {
        // What this program was built with; a test reads it, too.
        let files = FileDescriptorSet::decode(selvedge_proto::DESCRIPTORS).unwrap_or_default().file;
        let mut descriptors = Self::default();
        for file in &files {
            for message in &file.message_type {
                descriptors.add_message(file.package(), message);
            }
            for values in &file.enum_type {
                descriptors.add_enum(file.package(), values);
            }
        }
        descriptors
    }

    fn add_message(&mut self, scope: &str, definition: &DescriptorProto) {
        let name = format!("{scope}.{}", definition.name());
        for message in &definition.nested_type {
            self.add_message(&name, message);
        }
        for values in &definition.enum_type {
            self.add_enum(&name, values);
        }
        let fields = definition.field.iter().map(|field| (field.number().unsigned_abs(), Field::read(field))).collect();
        let is_entry = definition.options.as_ref().is_some_and(prost_types::MessageOptions::map_entry);
        self.messages.insert(name.clone(), Message { name, fields, is_entry });
    }

    fn add_enum(&mut self, scope: &str, definition: &EnumDescriptorProto) {
        let values = definition.value.iter().map(|value| (value.number(), value.name().to_owned())).collect();
        self.enums.insert(format!("{scope}.{}", definition.name()), values);
    }

    pub(super) fn message(&self, name: &str) -> Option<&Message> {
        self.messages.get(name)
    }

    /// The entry that a map's field repeats; none for a field that is no map.
    pub(super) fn map_entry(&self, field: &Field) -> Option<&Message> {
        let Kind::Message(name) = &field.kind else { return None };
        self.message(name).filter(|message| message.is_entry)
    }

    /// The name of an enumeration's number.
    pub(super) fn enum_value(&self, name: &str, number: i32) -> Option<&str> {
        self.enums.get(name)?.get(&number).map(String::as_str)
    }
}

impl Field {
    fn read(definition: &FieldDescriptorProto) -> Self {
        let type_name = || definition.type_name().trim_start_matches('.').to_owned();
        let kind = match definition.r#type() {
            Type::Bool => Kind::Bool,
            Type::Int32 => Kind::Signed,
            Type::Uint32 => Kind::Unsigned,
            Type::Int64 => Kind::SignedLong,
            Type::Uint64 => Kind::UnsignedLong,
            Type::String => Kind::Text,
            Type::Bytes => Kind::Bytes,
            Type::Enum => Kind::Enum(type_name()),
            Type::Message => Kind::Message(type_name()),
            _ => Kind::Other,
        };
        Self {
            name: definition.name().to_owned(),
            kind,
            is_repeated: definition.label() == Label::Repeated,
            is_alternative: definition.oneof_index.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_every_message_is_of_a_known_kind() {
        let descriptors = descriptors();
        assert!(descriptors.message("common.Block").is_some());
        for message in descriptors.messages.values().filter(|message| !message.name.starts_with("google.")) {
            for field in message.fields.values() {
                let name = format!("{}.{}", message.name, field.name);
                match &field.kind {
                    Kind::Other => panic!("{name}"),
                    Kind::Message(of) => assert!(descriptors.message(of).is_some(), "{name}: {of}"),
                    Kind::Enum(of) => assert!(descriptors.enum_value(of, 0).is_some(), "{name}: {of}"),
                    _ => {}
                }
            }
        }
    }
}

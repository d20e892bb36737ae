//! Protobuf's wire format, written: what `proto::wire` reads. Source: the encoding page of the protobuf documentation.

/// The fields of a message, one behind the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u64, wire: u64) {
        self.variable(field << 3 | wire);
    }

    fn variable(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// An integer; a negative one takes ten bytes, as protobuf has it.
    pub fn int(mut self, field: u64, value: i64) -> Self {
        self.key(field, 0);
        self.variable(value as u64);
        self
    }

    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.key(field, 2);
        self.variable(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    pub fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, &message.0)
    }

    /// A message for each of the list.
    pub fn messages(self, field: u64, messages: impl IntoIterator<Item = Message>) -> Self {
        messages.into_iter().fold(self, |all, one| all.message(field, one))
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

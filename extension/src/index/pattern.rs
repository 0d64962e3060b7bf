//! `LIKE` a pattern, roughly: what must stand at the beginning, and the longest text that must stand somewhere.

use memchr::memmem::Finder;

#[derive(Clone, Debug)]
pub struct Like {
    prefix: Box<[u8]>,
    part: Option<Finder<'static>>,
}

impl Like {
    /// Reads a pattern: % any text, _ any character, a backslash before either for itself.
    pub fn of(pattern: &[u8]) -> Like {
        let mut texts = vec![Vec::new()];
        let mut rest = pattern.iter();
        while let Some(byte) = rest.next() {
            match (byte, texts.last_mut()) {
                (b'%' | b'_', _) => texts.push(Vec::new()),
                (b'\\', Some(text)) => text.extend(rest.next()),
                (byte, Some(text)) => text.push(*byte),
                (_, None) => {}
            }
        }
        let prefix = texts.remove(0).into();
        let part = texts.into_iter().max_by_key(Vec::len).filter(|text| !text.is_empty());
        Like { prefix, part: part.map(|text| Finder::new(&text).into_owned()) }
    }

    /// False only if the text does not match.
    pub fn may_match(&self, text: &[u8]) -> bool {
        text.strip_prefix(&*self.prefix)
            .is_some_and(|rest| self.part.as_ref().is_none_or(|part| part.find(rest).is_some()))
    }
}

//! A panic of a chaincode ends its transaction: its text, `panicked at <file>:<line>:<column>: <message>`, goes to the
//! client, as from the sandbox, and to the log.
//!
//! Invariant: a panic in a thread that runs no transaction is reported as it would be without this.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

/// What of a panic's text is kept, in bytes, as in the sandbox.
const TEXT_LIMIT: usize = 2048;

thread_local! {
    /// The text of the panic that ends this thread's transaction; none in a thread that runs none.
    static TEXT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Takes over the reports of panics in transactions. The second call of a process does nothing.
pub(super) fn report_in_one_line() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let text = text(info);
            let of_a_transaction = TEXT.try_with(|kept| match &mut *kept.borrow_mut() {
                Some(kept) => {
                    *kept = text;
                    true
                }
                None => false,
            });
            if of_a_transaction != Ok(true) {
                before(info);
            }
        }));
    });
}

/// What `body` returns, or the text of the panic that ended it.
pub(super) fn catch<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    TEXT.set(Some(String::new()));
    // What the panic left half done belongs to a transaction that is over.
    let done = panic::catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        // The end of a panic's own value may panic, too.
        if let Err(another) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(another);
        }
    });
    let text = TEXT.take().filter(|text| !text.is_empty());
    done.map_err(|()| text.unwrap_or_else(|| "panicked".to_owned()))
}

fn text(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("a value that is not text");
    let mut text = match info.location() {
        Some(location) => format!("panicked at {location}: {message}"),
        None => format!("panicked: {message}"),
    };
    let mut end = text.len().min(TEXT_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_text_with_its_place_and_only_where_it_is_caught() {
        report_in_one_line();
        assert_eq!(catch(|| 7), Ok(7));
        let text = catch::<()>(|| panic!("no {}", "way")).unwrap_err();
        assert!(text.starts_with(&format!("panicked at {}:", file!())) && text.ends_with(": no way"), "{text}");
        let long = catch::<()>(|| panic!("{}", "\u{e9}".repeat(TEXT_LIMIT))).unwrap_err();
        assert!(long.len() <= TEXT_LIMIT && long.ends_with('\u{e9}'));
        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert!(catch::<()>(|| panic::panic_any(Bad)).is_err(), "a panic's value that panics ends here, too");
        assert!(TEXT.with_borrow(Option::is_none), "this thread runs no transaction any more");
    }
}

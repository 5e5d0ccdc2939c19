//! Validation against libvirt's schema finds what is wrong, and where, among many documents.

#[path = "common/rng.rs"]
mod rng;

const GOOD: &str = "<domain type='kvm'><name>a</name><memory>1</memory>\
                    <os><type>hvm</type></os></domain>";

#[test]
fn each_failure_is_one_line_with_label_line_and_reason() {
    let documents = [
        ("good", GOOD.to_owned()),
        (
            "with spaces, and: a colon",
            GOOD.replace("memory", "memroy"),
        ),
        ("cut off", GOOD[..40].to_owned()),
        ("on line 2", GOOD.replace("<os>", "\n<os what='1'>")),
    ];
    let failures = rng::failures(documents);
    let starts = [
        "with spaces, and: a colon:1: ",
        "cut off:1: parser error",
        "on line 2:2: ",
    ];
    assert_eq!(failures.len(), starts.len(), "{failures:#?}");
    for (failure, start) in failures.iter().zip(starts) {
        assert!(failure.starts_with(start), "{failure}");
    }
}

#[test]
#[should_panic(expected = "not valid for libvirt:\nwrong root:1: ")]
fn a_document_that_is_not_valid_fails_the_test() {
    rng::assert_valid(GOOD, "good");
    rng::assert_valid("<network/>", "wrong root");
}

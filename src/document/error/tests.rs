//! What is said of texts that are no definition: message and help, with line and column.
#![allow(clippy::unwrap_used)]

use super::super::Document;

#[test]
fn bad_input_is_explained() {
    let mut wrong = Vec::new();
    for (text, message) in [
        ("", "1:1 it is empty"),
        (
            "error: failed to get domain 'vm'\n<domain/>",
            "1:1 it is not XML: it does not begin with '<' / remove what stands before <domain> in line 2",
        ),
        (
            "<!-- made by hand -->\nhello\n<domain/>",
            "2:1 text before <domain> / take it out",
        ),
        (
            "<domain>\n</domain>\nend",
            "3:1 text after </domain> / a definition ends there; take out what follows",
        ),
        (
            "<domain/>\n<domain/>",
            "2:1 a second root element / one definition at a time: give them as separate files. virt-install prints one for each step of an installation; --print-xml 2 prints the installed machine alone",
        ),
        ("<domain>", "1:9 it ends before <domain> is closed"),
        ("<domain", "1:1 there is no element in it"),
        (
            "<domain><os></domain>",
            "1:13 </domain> ends an element that <os> began",
        ),
        (
            "<domain a='1' a='2'/>",
            "1:15 the attribute 'a' stands twice in one element",
        ),
        (
            "<!DOCTYPE domain><domain/>",
            "1:1 it has a document type declaration (<!DOCTYPE …>), which is refused / remove it; libvirt needs none",
        ),
        (
            "<domain>&x;</domain>",
            "1:9 the entity '&x;' is not defined / a domain definition knows &amp; &lt; &gt; &quot; &apos; and &#…; only",
        ),
        (
            "<domain>a & b</domain>",
            "1:11 a '&' that begins no entity, or one for a character that XML does not have / write &amp; for a literal '&'; control characters have no place in a definition",
        ),
        (
            "<domain><qemu:commandline/></domain>",
            "1:10 the prefix 'qemu' is not declared; libvirt drops such a block without a word / write <domain … xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>",
        ),
        (
            "<network/>",
            "1:1 the root is <network>, not <domain> / virt-patch works on domains: 'virsh dumpxml --inactive DOMAIN'",
        ),
    ] {
        let error = Document::parse_domain(text).unwrap_err();
        let place = &error.excerpt.position;
        let help = match &error.help {
            Some(help) => format!(" / {help}"),
            None => String::new(),
        };
        let said = format!("{}:{} {error}{help}", place.line, place.column);
        if said != message {
            wrong.push((text, said));
        }
    }
    assert_eq!(wrong, []);
}

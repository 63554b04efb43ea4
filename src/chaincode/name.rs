//! What chaincode of users may be called (Fabric 1.4: `lscc.ChaincodeNameRegExp`, `ChaincodeVersionRegExp`).

/// Whether a name is one that lscc takes: `^[a-zA-Z0-9]+([-_][a-zA-Z0-9]+)*$`
pub fn is_chaincode_name(name: &str) -> bool {
    name.split(['-', '_']).all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Whether a version is one that lscc takes: `^[A-Za-z0-9_.+-]+$`
pub fn is_chaincode_version(version: &str) -> bool {
    !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_follow_fabrics_expressions() {
        for name in ["a", "kv", "a-b", "a_b-c9", "0"] {
            assert!(is_chaincode_name(name), "{name}");
        }
        for name in ["", "-a", "a-", "a--b", "a-_b", "a.b", "ä", "a b", "a\n"] {
            assert!(!is_chaincode_name(name), "{name}");
        }
        for version in ["1", "1.0", "v1_2+3-rc.4", "-", "."] {
            assert!(is_chaincode_version(version), "{version}");
        }
        for version in ["", "1 ", "1/2", "é", "1\n"] {
            assert!(!is_chaincode_version(version), "{version}");
        }
    }
}

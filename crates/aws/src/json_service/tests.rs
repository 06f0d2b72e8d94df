use super::*;

#[test]
fn errors_are_sorted_by_what_they_mean() {
    let kind = |status: u16, name: &str| classify(StatusCode::from_u16(status).unwrap(), ErrorType::of(name));
    assert!(matches!(kind(400, "ThrottlingException"), ServiceError::Unavailable { .. }));
    assert!(matches!(kind(500, ""), ServiceError::Unavailable { .. }));
    assert!(matches!(kind(400, "AccessDeniedException"), ServiceError::Denied(_)));
    assert!(matches!(kind(403, ""), ServiceError::Denied(_)));
    assert!(matches!(kind(400, "NotFoundException"), ServiceError::Refused { status: 400, .. }));
}

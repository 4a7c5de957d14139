//! Enumerators that a kernel without network has no types for.

#[rustfmt::skip]
pub static CONSTANTS: &[(&str, i64)] = &[
    ("IPPROTO_IP", 0), ("IPPROTO_ICMP", 1), ("IPPROTO_IGMP", 2), ("IPPROTO_IPIP", 4), ("IPPROTO_TCP", 6),
    ("IPPROTO_EGP", 8), ("IPPROTO_PUP", 12), ("IPPROTO_UDP", 17), ("IPPROTO_IDP", 22), ("IPPROTO_TP", 29),
    ("IPPROTO_DCCP", 33), ("IPPROTO_IPV6", 41), ("IPPROTO_RSVP", 46), ("IPPROTO_GRE", 47), ("IPPROTO_ESP", 50),
    ("IPPROTO_AH", 51), ("IPPROTO_MTP", 92), ("IPPROTO_BEETPH", 94), ("IPPROTO_ENCAP", 98), ("IPPROTO_PIM", 103),
    ("IPPROTO_COMP", 108), ("IPPROTO_SCTP", 132), ("IPPROTO_UDPLITE", 136), ("IPPROTO_MPLS", 137),
    ("IPPROTO_ETHERNET", 143), ("IPPROTO_RAW", 255), ("IPPROTO_MPTCP", 262), ("SHUT_RD", 0), ("SHUT_WR", 1),
    ("SHUT_RDWR", 2), ("SOCK_STREAM", 1), ("SOCK_DGRAM", 2), ("SOCK_RAW", 3), ("SOCK_RDM", 4),
    ("SOCK_SEQPACKET", 5), ("SOCK_DCCP", 6), ("SOCK_PACKET", 10), ("TCP_ESTABLISHED", 1), ("TCP_SYN_SENT", 2),
    ("TCP_SYN_RECV", 3), ("TCP_FIN_WAIT1", 4), ("TCP_FIN_WAIT2", 5), ("TCP_TIME_WAIT", 6), ("TCP_CLOSE", 7),
    ("TCP_CLOSE_WAIT", 8), ("TCP_LAST_ACK", 9), ("TCP_LISTEN", 10), ("TCP_CLOSING", 11), ("TCP_NEW_SYN_RECV", 12),
];

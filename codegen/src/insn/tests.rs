use super::*;
use proptest::prelude::*;

fn reg() -> impl Strategy<Value = Reg> {
    proptest::sample::select(&Reg::ALL[..])
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![reg().prop_map(Operand::Reg), any::<i32>().prop_map(Operand::Imm)]
}

fn width() -> impl Strategy<Value = Width> {
    proptest::sample::select(&[Width::W32, Width::W64][..])
}

fn narrow() -> impl Strategy<Value = Narrow> {
    proptest::sample::select(&[Narrow::S8, Narrow::S16, Narrow::S32][..])
}

fn size() -> impl Strategy<Value = Size> {
    proptest::sample::select(&Size::ALL[..])
}

fn imm64() -> impl Strategy<Value = Imm64> {
    prop_oneof![
        any::<u64>().prop_map(Imm64::Value),
        any::<i32>().prop_map(Imm64::MapFd),
        any::<(i32, u32)>().prop_map(|(fd, offset)| Imm64::MapValue { fd, offset }),
        any::<i32>().prop_map(Imm64::Func),
        any::<(i32, i32)>().prop_map(|(id, module)| Imm64::BtfId { id, module }),
    ]
}

fn insn() -> impl Strategy<Value = Insn> {
    let swap = proptest::sample::select(&[Swap::ToLe, Swap::ToBe, Swap::Always][..]);
    let bits = proptest::sample::select(&[SwapBits::B16, SwapBits::B32, SwapBits::B64][..]);
    let cond = proptest::sample::select(&Cond::ALL[..]);
    let place = || (width(), reg(), any::<i16>(), reg());
    prop_oneof![
        (width(), proptest::sample::select(&AluOp::ALL[..]), reg(), operand())
            .prop_map(|(width, op, dst, src)| Insn::Alu { width, op, dst, src }),
        (width(), reg()).prop_map(|(width, dst)| Insn::Neg { width, dst }),
        (width(), narrow(), reg(), reg())
            .prop_filter("a 32-bit move", |(w, n, ..)| *w == Width::W64 || *n != Narrow::S32)
            .prop_map(|(width, from, dst, src)| Insn::Movsx { width, from, dst, src }),
        (swap, bits, reg()).prop_map(|(kind, bits, dst)| Insn::Swap { kind, bits, dst }),
        (reg(), imm64()).prop_map(|(dst, imm)| Insn::LdImm64 { dst, imm }),
        (size(), reg(), reg(), any::<i16>()).prop_map(|(size, dst, base, offset)| Insn::Load {
            size,
            dst,
            base,
            offset
        }),
        (narrow(), reg(), reg(), any::<i16>()).prop_map(|(from, dst, base, offset)| Insn::LoadSigned {
            from,
            dst,
            base,
            offset
        }),
        (size(), reg(), any::<i16>(), operand()).prop_map(|(size, base, offset, src)| Insn::Store {
            size,
            base,
            offset,
            src
        }),
        (place(), proptest::sample::select(&AtomicOp::ALL[..]), any::<bool>()).prop_map(
            |((width, base, offset, src), op, fetch)| Insn::Atomic { width, op, fetch, base, offset, src }
        ),
        place().prop_map(|(width, base, offset, src)| Insn::Xchg { width, base, offset, src }),
        place().prop_map(|(width, base, offset, src)| Insn::CmpXchg { width, base, offset, src }),
        (size(), reg(), reg(), any::<i16>()).prop_map(|(size, dst, base, offset)| Insn::LoadAcquire {
            size,
            dst,
            base,
            offset
        }),
        (size(), reg(), any::<i16>(), reg()).prop_map(|(size, base, offset, src)| Insn::StoreRelease {
            size,
            base,
            offset,
            src
        }),
        (width(), cond, reg(), operand(), any::<i16>())
            .prop_map(|(width, cond, dst, src, offset)| Insn::Jump { width, cond, dst, src, offset }),
        any::<i16>().prop_map(|offset| Insn::Goto { offset }),
        any::<i32>().prop_map(|offset| Insn::GotoLong { offset }),
        any::<i16>().prop_map(|offset| Insn::MayGoto { offset }),
        any::<u32>().prop_map(|number| Insn::CallHelper { number }),
        any::<(i32, i16)>().prop_map(|(btf_id, module)| Insn::CallKfunc { btf_id, module }),
        any::<i32>().prop_map(|offset| Insn::CallLocal { offset }),
        Just(Insn::Exit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn decoding_undoes_encoding(insn in insn()) {
        let mut bytes = Vec::new();
        insn.encode(&mut bytes);
        prop_assert_eq!(bytes.len(), insn.slots() * 8);
        prop_assert_eq!(Insn::decode(&bytes), Ok(insn));
    }

    /// What `decode` accepts loses nothing; what it refuses it refuses without a panic.
    #[test]
    fn encoding_undoes_decoding(bytes in proptest::array::uniform16(any::<u8>())) {
        if let Ok(insn) = Insn::decode(&bytes) {
            let mut again = Vec::new();
            insn.encode(&mut again);
            prop_assert_eq!(&again, &bytes[..again.len()]);
        }
    }
}

/// Bytes as an independent assembler writes them, and text as the kernel prints it.
#[test]
fn bytes_and_text_are_the_kernels() {
    let cases: &[(&[u8], &str)] = &[
        (&[0x79, 0x11, 8, 0, 0, 0, 0, 0], "r1 = *(u64 *)(r1 +8)"),
        (&[0x63, 0x1a, 0xfc, 0xff, 0, 0, 0, 0], "*(u32 *)(r10 -4) = r1"),
        (&[0x7a, 0x0a, 0xf8, 0xff, 5, 0, 0, 0], "*(u64 *)(r10 -8) = 5"),
        (&[0x91, 0x21, 3, 0, 0, 0, 0, 0], "r1 = *(s8 *)(r2 +3)"),
        (&[0xbf, 0xa2, 0, 0, 0, 0, 0, 0], "r2 = r10"),
        (&[0x07, 0x02, 0, 0, 0xf0, 0xff, 0xff, 0xff], "r2 += -16"),
        (&[0x04, 0x02, 0, 0, 1, 0, 0, 0], "w2 += 1"),
        (&[0x3f, 0x21, 1, 0, 0, 0, 0, 0], "r1 s/= r2"),
        (&[0xbf, 0x21, 16, 0, 0, 0, 0, 0], "r1 = (s16)r2"),
        (&[0xdc, 0x01, 0, 0, 16, 0, 0, 0], "r1 = be16 r1"),
        (&[0xd7, 0x01, 0, 0, 64, 0, 0, 0], "r1 = bswap64 r1"),
        (&[0x87, 0x03, 0, 0, 0, 0, 0, 0], "r3 = -r3"),
        (&[0xdb, 0x21, 0, 0, 0, 0, 0, 0], "lock *(u64 *)(r1 +0) += r2"),
        (&[0xdb, 0x21, 0, 0, 1, 0, 0, 0], "r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)"),
        (&[0xc3, 0x21, 4, 0, 0xf1, 0, 0, 0], "r0 = atomic_cmpxchg((u32 *)(r1 +4), r0, r2)"),
        (&[0xdb, 0x21, 0, 0, 0xe1, 0, 0, 0], "r2 = atomic64_xchg((u64 *)(r1 +0), r2)"),
        (&[0xdb, 0x21, 8, 0, 0, 1, 0, 0], "r1 = load_acquire((u64 *)(r2 +8))"),
        (&[0xdb, 0x21, 8, 0, 0x10, 1, 0, 0], "store_release((u64 *)(r1 +8), r2)"),
        (&[0x15, 0x00, 3, 0, 0, 0, 0, 0], "if r0 == 0x0 goto pc+3"),
        (&[0x6e, 0x21, 0xfe, 0xff, 0, 0, 0, 0], "if w1 s> w2 goto pc-2"),
        (&[0x05, 0x00, 1, 0, 0, 0, 0, 0], "goto pc+1"),
        (&[0x06, 0x00, 0, 0, 0, 0, 1, 0], "gotol pc+65536"),
        (&[0xe5, 0x00, 2, 0, 0, 0, 0, 0], "may_goto pc+2"),
        (&[0x85, 0x00, 0, 0, 14, 0, 0, 0], "call bpf_get_current_pid_tgid#14"),
        (&[0x85, 0x20, 0, 0, 7, 0, 0, 0], "call kernel-function#7"),
        (&[0x85, 0x10, 0, 0, 7, 0, 0, 0], "call pc+7"),
        (&[0x95, 0, 0, 0, 0, 0, 0, 0], "exit"),
        (&[0x18, 0x01, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], "r1 = 0x1000000ff"),
        (&[0x18, 0x11, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "r1 = map[fd:3]"),
        (&[0x18, 0x21, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0], "r1 = map[fd:3][0]+16"),
    ];
    for (bytes, text) in cases {
        let insn = Insn::decode(bytes).unwrap();
        assert_eq!(insn.to_string(), *text);
        let mut again = Vec::new();
        insn.encode(&mut again);
        assert_eq!(again, *bytes, "{text}");
    }
}

#[test]
fn what_is_no_instruction_is_refused() {
    assert_eq!(Insn::decode(&[0x95; 7]), Err(DecodeError::Truncated));
    assert_eq!(Insn::decode(&[0x18, 1, 0, 0, 0, 0, 0, 0]), Err(DecodeError::Truncated));
    assert_eq!(Insn::decode(&[0xbf, 0xb1, 0, 0, 0, 0, 0, 0]), Err(DecodeError::Register(11)));
    assert_eq!(Insn::decode(&[0x8d, 0, 0, 0, 0, 0, 0, 0]), Err(DecodeError::Opcode(0x8d)));
    assert_eq!(Insn::decode(&[0xb7, 0x21, 0, 0, 0, 0, 0, 0]), Err(DecodeError::Field(0xb7)));
}

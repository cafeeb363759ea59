using System.Buffers.Binary;

namespace Kwik.Data;

/// <summary>How a protobuf field is encoded.</summary>
internal enum ProtoKind
{
    VarInt = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// <summary>Walks the fields of one protobuf message without allocation. Groups are not accepted.</summary>
internal ref struct ProtoFields(ReadOnlySpan<byte> message)
{
    private ReadOnlySpan<byte> _rest = message;

    public int Number { get; private set; }

    public ProtoKind Kind { get; private set; }

    /// <summary>The value of a field that is not <see cref="ProtoKind.Bytes"/>.</summary>
    public ulong Value { get; private set; }

    public ReadOnlySpan<byte> Bytes { get; private set; }

    /// <summary>After <see cref="Next"/> returned false: whether the message ended where a field ends.</summary>
    public bool IsValid { get; private set; } = true;

    /// <summary>Goes to the next field; false at the end, or at a field that is malformed (see <see cref="IsValid"/>).</summary>
    public bool Next()
    {
        if (_rest.IsEmpty)
        {
            return false;
        }

        IsValid = TryNext();
        return IsValid;
    }

    private bool TryNext()
    {
        if (!TryReadVarInt(out ulong tag) || tag >> 3 is 0 or > 0x1fff_ffff)
        {
            return false;
        }

        Number = (int)(tag >> 3);
        Kind = (ProtoKind)(tag & 7);
        Value = 0;
        Bytes = default;
        switch (Kind)
        {
            case ProtoKind.VarInt:
                return TryReadVarInt(out ulong value) && SetValue(value);
            case ProtoKind.Fixed32:
                return TryTake(sizeof(uint)) && SetValue(BinaryPrimitives.ReadUInt32LittleEndian(Bytes));
            case ProtoKind.Fixed64:
                return TryTake(sizeof(ulong)) && SetValue(BinaryPrimitives.ReadUInt64LittleEndian(Bytes));
            case ProtoKind.Bytes:
                return TryReadVarInt(out ulong length) && TryTake(length);
            default:
                return false;
        }
    }

    private bool SetValue(ulong value)
    {
        Value = value;
        return true;
    }

    private bool TryReadVarInt(out ulong value)
    {
        int read = VarInt.Read(_rest, out value);
        if (read <= 0)
        {
            return false;
        }

        _rest = _rest[read..];
        return true;
    }

    private bool TryTake(ulong length)
    {
        if (length > (ulong)_rest.Length)
        {
            return false;
        }

        Bytes = _rest[..(int)length];
        _rest = _rest[(int)length..];
        return true;
    }
}

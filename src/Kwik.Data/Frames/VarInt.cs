namespace Kwik.Data;

/// <summary>The protobuf base-128 variable-length integer, unsigned, 1 to 10 bytes.</summary>
internal static class VarInt
{
    public const int MaxSize = 10;

    /// <summary>Bytes that <paramref name="value"/> takes.</summary>
    public static int SizeOf(ulong value)
    {
        int bits = 64 - System.Numerics.BitOperations.LeadingZeroCount(value | 1);
        return (bits + 6) / 7;
    }

    /// <summary>Writes at the start of <paramref name="destination"/>, which must be large enough; returns the bytes written.</summary>
    public static int Write(Span<byte> destination, ulong value)
    {
        int i = 0;
        while (value >= 0x80)
        {
            destination[i++] = (byte)(value | 0x80);
            value >>= 7;
        }

        destination[i++] = (byte)value;
        return i;
    }

    /// <summary>Reads from the start of <paramref name="source"/>.</summary>
    /// <returns>Bytes read; 0 when more are needed; -1 when no number of 64 bits has this form.</returns>
    public static int Read(ReadOnlySpan<byte> source, out ulong value)
    {
        value = 0;
        for (int i = 0; i < MaxSize; i++)
        {
            if (i == source.Length)
            {
                return 0;
            }

            byte b = source[i];
            if (i == MaxSize - 1 && b > 1)
            {
                return -1;
            }

            value |= (ulong)(b & 0x7f) << (7 * i);
            if (b < 0x80)
            {
                return i + 1;
            }
        }

        return -1;
    }
}

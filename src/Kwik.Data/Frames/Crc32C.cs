using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Kwik.Data;

/// <summary>CRC-32C (Castagnoli) of a payload, with the processor's instructions where there are any.</summary>
internal static class Crc32C
{
    // The instruction takes three cycles, of which the next one waits for all; but one can begin in each cycle. So three runs
    // of words are summed side by side and put together afterwards. 1 KiB each: long enough to hide the putting together.
    private const int RunLength = 128;

    // What a sum becomes when a run of zeros follows it, for each value of each of its four bytes. A sum is linear, so that
    // the four together are that of the whole.
    private static readonly uint[] AfterZeros = MakeAfterZeros();

    public static uint Compute(ReadOnlySpan<byte> data) => ~Append(~0u, data);

    /// <summary>Continues a running value: start with ~0, invert at the end.</summary>
    public static uint Append(uint crc, ReadOnlySpan<byte> data)
    {
        if (Crc32CFolding.IsSupported && data.Length >= Crc32CFolding.StepSize)
        {
            int folded = data.Length - (data.Length % Crc32CFolding.StepSize);
            crc = Crc32CFolding.Append(crc, data[..folded]);
            data = data[folded..];
        }

        return AppendInRuns(crc, data);
    }

    /// <summary>The same on any processor.</summary>
    internal static uint AppendInRuns(uint crc, ReadOnlySpan<byte> data)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(data);
        data = data[(words.Length * sizeof(ulong))..];
        for (; words.Length >= 3 * RunLength; words = words[(3 * RunLength)..])
        {
            crc = AppendThreeRuns(crc, words[..(3 * RunLength)]);
        }

        crc = AppendWords(crc, words);
        foreach (byte b in data)
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        return crc;
    }

    private static uint AppendThreeRuns(uint first, ReadOnlySpan<ulong> words)
    {
        uint second = 0;
        uint third = 0;
        for (int i = 0; i < RunLength; i++)
        {
            first = BitOperations.Crc32C(first, LittleEndian(words[i]));
            second = BitOperations.Crc32C(second, LittleEndian(words[RunLength + i]));
            third = BitOperations.Crc32C(third, LittleEndian(words[(2 * RunLength) + i]));
        }

        return FollowedByZeros(FollowedByZeros(first) ^ second) ^ third;
    }

    private static uint AppendWords(uint crc, ReadOnlySpan<ulong> words)
    {
        foreach (ulong word in words)
        {
            crc = BitOperations.Crc32C(crc, LittleEndian(word));
        }

        return crc;
    }

    private static ulong LittleEndian(ulong word) => BitConverter.IsLittleEndian ? word : BinaryPrimitives.ReverseEndianness(word);

    private static uint FollowedByZeros(uint crc) =>
        AfterZeros[(byte)crc] ^ AfterZeros[256 + (byte)(crc >> 8)] ^ AfterZeros[512 + (byte)(crc >> 16)] ^ AfterZeros[768 + (crc >> 24)];

    private static uint[] MakeAfterZeros()
    {
        var zeros = new ulong[RunLength];
        var table = new uint[4 * 256];
        for (int i = 0; i < table.Length; i++)
        {
            table[i] = AppendWords((uint)(i % 256) << (8 * (i / 256)), zeros);
        }

        return table;
    }
}

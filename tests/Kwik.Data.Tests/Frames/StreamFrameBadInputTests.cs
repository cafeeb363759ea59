using FsCheck.Fluent;
using Google.Protobuf;
using Kwik.Data.Wire;
using Kwik.Testing;

namespace Kwik.Data.Tests;

/// <summary>
/// Bytes that no correct peer sends: refused, or read as the generated class reads them; never an exception, never an
/// allocation.
/// </summary>
public sealed class StreamFrameBadInputTests
{
    [Fact]
    public void TryDecode_CutAtEveryByte_IsRefused()
    {
        foreach (byte[] message in WireFrames.Corpus.Select(WireFrames.MessageOf))
        {
            for (int length = 0; length < message.Length; length++)
            {
                Assert.False(StreamFrame.TryDecode(message.AsSpan(0, length), out _));
            }
        }
    }

    [Fact]
    public void TryDecode_EverySingleBitFlipped_IsRefusedOrAgreesWithTheGeneratedClass()
    {
        foreach (byte[] message in WireFrames.Corpus.Select(WireFrames.MessageOf))
        {
            for (int bit = 0; bit < message.Length * 8; bit++)
            {
                message[bit / 8] ^= (byte)(1 << (bit % 8));
                AssertRefusedOrAgreed(message);
                message[bit / 8] ^= (byte)(1 << (bit % 8));
            }
        }
    }

    [Fact]
    public void TryDecode_Garbage_IsRefusedOrAgreesWithTheGeneratedClass() =>
        Property.HoldsForLists(
            Gen.OneOf(Gen.Elements<byte>(0x08, 0x0a, 0x10, 0x12, 0x18, 0x1a, 0x1d, 0x00, 0x01, 0x02, 0x80, 0xff), Gen.Choose(0, 255).Select(b => (byte)b)),
            maxLength: 24,
            bytes => AssertRefusedOrAgreed(bytes.ToArray()),
            count: 20_000);

    [Fact]
    public void TryDecode_CorruptedCorpus_AllocatesNothing()
    {
        byte[][] messages = [.. WireFrames.Corpus.Select(WireFrames.MessageOf)];
        DecodeCorrupted(messages);
        long before = GC.GetAllocatedBytesForCurrentThread();
        DecodeCorrupted(messages);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Theory]
    [InlineData("", "no type")]
    [InlineData("2000", "an unknown field alone")]
    [InlineData("0a001200", "two types")]
    [InlineData("0800", "a type that is no message")]
    [InlineData("0d00000000", "a type that is fixed32")]
    [InlineData("0a0a00", "a body longer than the message")]
    [InlineData("0affffffff07", "a body of 2^31-1 bytes")]
    [InlineData("0a8080808080808080ff01", "a body of more than 2^62 bytes")]
    [InlineData("0b0c", "a group")]
    [InlineData("0000", "field number 0")]
    [InlineData("120418808040", "data: checksum as varint")]
    [InlineData("12050dffffffff", "data: offset as fixed32")]
    [InlineData("120410818040", "data: 1 MiB and a byte")]
    [InlineData("120610ffffffff0f", "data: 2^32-1 bytes")]
    [InlineData("120b08ffffffffffffffffff01", "data: offset 2^64-1")]
    [InlineData("120a08808080808080808040", "data: offset 2^62")]
    [InlineData("120c08ffffffffffffffff3f1001", "data: a byte beyond 2^62-1")]
    [InlineData("0a0a08808080808080808040", "open: stream 2^62")]
    [InlineData("0a0a10808080808080808040", "open: offset 2^62")]
    [InlineData("0a0a18808080808080808040", "open: request 2^62")]
    [InlineData("1a0a08808080808080808040", "close: offset 2^62")]
    public void TryDecode_MalformedOrOutOfRange_IsRefused(string hex, string what) =>
        Assert.False(StreamFrame.TryDecode(Convert.FromHexString(hex), out _), what);

    [Fact]
    public void TryDecode_MessageLongerThanTheLimit_IsRefused()
    {
        byte[] frame = WireFrames.MessageOf(StreamFrame.Data(1));
        byte[] Padded(int length) => [.. frame, 0x22, .. LengthPrefix(length - frame.Length - 3), .. new byte[length - frame.Length - 3]];

        Assert.True(StreamFrame.TryDecode(Padded(StreamFrame.MaxMetadataSize), out _));
        Assert.False(StreamFrame.TryDecode(Padded(StreamFrame.MaxMetadataSize + 1), out _));
    }

    [Fact]
    public void TryDecode_BodiesNested150Deep_AreSkippedAsUnknownBytes()
    {
        byte[] nested = [];
        for (int depth = 0; depth < 150; depth++)
        {
            nested = [0x22, .. nested.Length < 128 ? [(byte)nested.Length] : LengthPrefix(nested.Length), .. nested];
        }

        Assert.True(StreamFrame.TryDecode([.. nested, .. WireFrames.MessageOf(StreamFrame.Data(1))], out StreamFrame frame));
        Assert.Equal(StreamFrame.Data(1), frame);
    }

    private static byte[] LengthPrefix(int length) => [(byte)(length | 0x80), (byte)(length >> 7)];

    private static void AssertRefusedOrAgreed(byte[] message)
    {
        if (StreamFrame.TryDecode(message, out StreamFrame frame))
        {
            StreamMetadataFrame? reference = WireFrames.Parse(message);
            Assert.NotNull(reference);
            Assert.Equal(WireFrames.FromMessage(reference), frame);
            Assert.InRange(frame.DataLength, 0, StreamFrame.MaxPayloadSize);
            Assert.InRange(frame.Offset, -1, StreamFrame.MaxOffset - frame.DataLength);
        }
    }

    private static void DecodeCorrupted(byte[][] messages)
    {
        foreach (byte[] message in messages)
        {
            for (int bit = 0; bit < message.Length * 8; bit++)
            {
                message[bit / 8] ^= (byte)(1 << (bit % 8));
                for (int length = 0; length <= message.Length; length++)
                {
                    StreamFrame.TryDecode(message.AsSpan(0, length), out _);
                }

                message[bit / 8] ^= (byte)(1 << (bit % 8));
            }
        }
    }
}

using FsCheck;
using FsCheck.Fluent;
using Google.Protobuf;
using Property = Kwik.Testing.Property;

namespace Kwik.Data.Tests;

/// <summary>The hand-written codec against the generated classes, for frames that a correct peer may send.</summary>
public sealed class StreamFrameTests
{
    [Fact]
    public void Write_AnyFrame_IsByteForByteWhatTheGeneratedClassWrites() => Property.Holds(WireFrames.Frames, frame =>
        Assert.Equal(WireFrames.ToMessage(frame).ToByteArray(), WireFrames.MessageOf(frame)));

    [Fact]
    public void TryDecode_FrameOfTheGeneratedClass_GivesTheSameValues() => Property.Holds(WireFrames.Frames, frame =>
    {
        Assert.True(StreamFrame.TryDecode(WireFrames.ToMessage(frame).ToByteArray(), out StreamFrame decoded));
        Assert.Equal(frame, decoded);
    });

    [Fact]
    public void TryDecode_UnknownFieldsRepeatedValuesAndMergedBodies_AgreesWithTheGeneratedClass() =>
        Property.Holds(LooseMessages, message =>
        {
            Assert.True(StreamFrame.TryDecode(message, out StreamFrame decoded), Convert.ToHexStringLower(message));
            Assert.Equal(WireFrames.FromMessage(WireFrames.Parse(message)!), decoded);
        });

    [Fact]
    public void TryDecode_BodyThatComesTwice_IsMerged()
    {
        byte[] first = WireFrames.MessageOf(StreamFrame.Data(100, offset: 7, checksum: 5));
        byte[] second = WireFrames.MessageOf(StreamFrame.Data(200));

        Assert.True(StreamFrame.TryDecode([.. first, .. second], out StreamFrame merged));
        Assert.Equal(StreamFrame.Data(200, offset: 7, checksum: 5), merged);
    }

    [Fact]
    public void TryDecode_ReasonOfAClose_IsSkipped()
    {
        var message = new Wire.StreamMetadataFrame
        {
            SecondaryStreamClose = new() { FinalOffset = 9, ErrorCode = (ulong)KwikError.NotFound, Reason = new string('x', 512) },
        };

        Assert.True(StreamFrame.TryDecode(message.ToByteArray(), out StreamFrame decoded));
        Assert.Equal(StreamFrame.Close(9, KwikError.NotFound), decoded);
        message.SecondaryStreamClose.Reason += "x";
        Assert.False(StreamFrame.TryDecode(message.ToByteArray(), out _));
    }

    [Theory]
    [InlineData(0x7777)]
    [InlineData(0x0e)]
    [InlineData(StreamFrame.MaxOffset)]
    public void TryDecode_CloseWithAnUnknownCode_ReadsAsInternal(long code)
    {
        var message = new Wire.StreamMetadataFrame { SecondaryStreamClose = new() { ErrorCode = (ulong)code } };

        Assert.True(StreamFrame.TryDecode(message.ToByteArray(), out StreamFrame decoded));
        Assert.Equal(StreamFrame.Close(0, KwikError.Internal), decoded);
    }

    [Fact]
    public void Write_DataFrameInSteadyState_TakesAtMost16Bytes()
    {
        var bytes = new byte[StreamFrame.MaxWrittenSize];
        Assert.InRange(StreamFrame.Data(64 * 1024, checksum: uint.MaxValue).Write(bytes), 1, 16);
    }

    [Fact]
    public void Write_LargestFrameOfEachType_FitsTheRoomThatIsPromised() => Property.Holds(WireFrames.Frames, frame =>
        Assert.InRange(frame.Write(new byte[StreamFrame.MaxWrittenSize]), 3, StreamFrame.MaxWrittenSize));

    [Fact]
    public void Write_DefaultFrame_Throws() =>
        Assert.Throws<InvalidOperationException>(() => default(StreamFrame).Write(new byte[StreamFrame.MaxWrittenSize]));

    [Fact]
    public void WriteAndTryDecode_ManyFrames_AllocateNothing()
    {
        var bytes = new byte[StreamFrame.MaxWrittenSize];
        RunCorpus(bytes);
        long before = GC.GetAllocatedBytesForCurrentThread();
        RunCorpus(bytes);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private static void RunCorpus(byte[] bytes)
    {
        bool decoded = true;
        for (int i = 0; i < 1000; i++)
        {
            foreach (StreamFrame frame in WireFrames.Corpus)
            {
                int written = frame.Write(bytes);
                decoded &= StreamFrame.TryDecode(bytes.AsSpan(1, written - 1), out StreamFrame read) && read == frame;
            }
        }

        Assert.True(decoded);
    }

    // One type; one to three bodies; in each its known fields with values in range, in any order and number, between
    // fields that version 1 does not have.
    private static Gen<byte[]> LooseMessages { get; } =
        from type in Gen.Choose(1, 3)
        from bodies in Body(type).NonEmptyListOf()
        from unknown in UnknownFields
        let message = (byte[])[.. unknown, .. bodies.Take(3).SelectMany(body => Bytes(type, body)), .. unknown]
        where message.Length <= StreamFrame.MaxMetadataSize
        select message;

    // Far enough up that the messages can grow.
    private static Gen<byte[]> UnknownFields =>
        from number in Gen.OneOf(Gen.Choose(16, 50), Gen.Constant(0x1fff_ffff))
        from value in Values.UInt64
        from kind in Gen.Choose(0, 4)
        select kind switch
        {
            0 => VarIntField(number, value),
            1 => [.. Number(((ulong)number << 3) | 1), .. BitConverter.GetBytes(value)],
            2 => Bytes(number, BitConverter.GetBytes(value)),
            3 => [.. Number(((ulong)number << 3) | 5), .. BitConverter.GetBytes((uint)value)],
            _ => [],
        };

    private static Gen<byte[]> Body(int type) => KnownField((StreamFrameType)type).Zip(UnknownFields)
        .ListOf().Select(fields => fields.Take(6).SelectMany(pair => pair.Item2.Concat(pair.Item1)).ToArray());

    private static Gen<byte[]> KnownField(StreamFrameType type) =>
        from number in Gen.Choose(1, type == StreamFrameType.Close ? 4 : 3)
        from offset in Values.Offset
        from length in Values.PayloadLength
        from checksum in Values.UInt32
        select (type, number) switch
        {
            (StreamFrameType.Data, 1) => VarIntField(1, (ulong)Math.Min(offset, StreamFrame.MaxOffset - StreamFrame.MaxPayloadSize)),
            (StreamFrameType.Data, 2) => VarIntField(2, (ulong)length),
            (StreamFrameType.Data, _) => [(3 << 3) | 5, .. BitConverter.GetBytes(checksum)],
            (StreamFrameType.Close, 3) => Bytes(3, "why"u8.ToArray()),
            (StreamFrameType.Close, 4) => VarIntField(4, checksum % 3),
            _ => VarIntField(number, (ulong)offset),
        };

    private static byte[] VarIntField(int number, ulong value) => [.. Number((ulong)number << 3), .. Number(value)];

    private static byte[] Bytes(int number, byte[] content) =>
        [.. Number(((ulong)number << 3) | 2), .. Number((ulong)content.Length), .. content];

    private static byte[] Number(ulong value)
    {
        var bytes = new byte[VarInt.MaxSize];
        return bytes[..VarInt.Write(bytes, value)];
    }
}

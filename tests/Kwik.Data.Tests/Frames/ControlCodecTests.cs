using Google.Protobuf;
using Google.Protobuf.Reflection;
using Kwik.Data.Wire;

namespace Kwik.Data.Tests;

public sealed class ControlCodecTests
{
    [Fact]
    public void Encode_EveryBody_IsDecodedBehindItsLengthPrefix()
    {
        foreach (ControlFrame frame in FramesOfEveryBody())
        {
            byte[] bytes = ControlCodec.Encode(frame);
            int prefix = VarInt.Read(bytes, out ulong length);

            Assert.Equal(bytes.Length, prefix + (int)length);
            Assert.Equal(frame, ControlCodec.TryDecode(bytes.AsSpan(prefix)));
        }
    }

    [Fact]
    public void Encode_FrameOfTheLargestSize_IsWrittenAndDecoded()
    {
        byte[] bytes = ControlCodec.Encode(FrameOfSize(ControlCodec.MaxFrameSize));

        Assert.Equal(ControlCodec.MaxFrameSize + 3, bytes.Length);
        Assert.NotNull(ControlCodec.TryDecode(bytes.AsSpan(3)));
    }

    [Fact]
    public void Encode_OneByteMore_Throws()
    {
        KwikException e = Assert.Throws<KwikException>(() => ControlCodec.Encode(FrameOfSize(ControlCodec.MaxFrameSize + 1)));
        Assert.Equal((KwikError.LimitExceeded, KwikErrorSide.Local), (e.Code, e.Side));
    }

    [Fact]
    public void TryDecode_UnknownBody_IsAFrameWithoutBody()
    {
        // Field 1000, length-delimited: how version 1 grows.
        ControlFrame? frame = ControlCodec.TryDecode([0xc2, 0x3e, 0x02, 0x08, 0x01]);

        Assert.NotNull(frame);
        Assert.Equal(ControlFrame.BodyOneofCase.None, frame.BodyCase);
    }

    [Fact]
    public void TryDecode_EveryFrameCutAtEveryByte_NeverThrows()
    {
        foreach (byte[] message in FramesOfEveryBody().Select(frame => frame.ToByteArray()))
        {
            for (int length = 1; length < message.Length; length++)
            {
                // The one body of each frame spans it, so no shorter message is whole.
                Assert.Null(ControlCodec.TryDecode(message.AsSpan(0, length)));
            }
        }
    }

    [Fact]
    public void TryDecode_EverySingleBitFlipped_NeverThrowsAndAllocatesLittle()
    {
        foreach (byte[] message in FramesOfEveryBody().Select(frame => frame.ToByteArray()))
        {
            for (int bit = 0; bit < message.Length * 8; bit++)
            {
                message[bit / 8] ^= (byte)(1 << (bit % 8));
                Assert.InRange(AllocatedBy(() => ControlCodec.TryDecode(message)), 0, 64 * 1024);
                message[bit / 8] ^= (byte)(1 << (bit % 8));
            }
        }
    }

    [Fact]
    public void TryDecode_Garbage_NeverThrows()
    {
        for (int seed = 0; seed < 20_000; seed++)
        {
            byte[] bytes = Values.Bytes(seed, seed % 64);
            ControlFrame? frame = ControlCodec.TryDecode(bytes);
            Assert.True(frame is null || frame.CalculateSize() >= 0);
        }
    }

    [Theory]
    [InlineData(150)]
    [InlineData(30_000)]
    public void TryDecode_GroupsNestedDeep_AreRefused(int depth)
    {
        // Start-group and end-group tags of an unknown field: the only thing in these messages that could recurse.
        byte[] message = [.. Enumerable.Repeat((byte)0x3b, depth), .. Enumerable.Repeat((byte)0x3c, depth)];
        Assert.Null(ControlCodec.TryDecode(message));
    }

    [Theory]
    [InlineData("0affffffff07")] // a body of 2^31-1 bytes
    [InlineData("0a061affffffff07")] // bytes
    [InlineData("1a0612ffffffff07")] // a string
    [InlineData("1a062affffffff07")] // repeated bytes
    [InlineData("c23effffffff07")] // an unknown field
    [InlineData("0affffffffffffffff3f")] // 2^62-1
    public void TryDecode_HugeLengthInside_IsRefusedWithoutAllocatingIt(string hex)
    {
        byte[] message = Convert.FromHexString(hex);
        Assert.InRange(AllocatedBy(() => Assert.Null(ControlCodec.TryDecode(message))), 0, 64 * 1024);
    }

    [Fact]
    public void TryDecode_AnyByteReplacedByAHugeLength_NeverThrowsAndAllocatesLittle()
    {
        foreach (byte[] message in FramesOfEveryBody().Select(frame => frame.ToByteArray()))
        {
            for (int i = 0; i < message.Length * 32; i++)
            {
                byte[] bomb = [.. message[..(i / 32)], .. Prefix(int.MaxValue - (i % 32)), .. message[((i / 32) + 1)..]];
                Assert.InRange(AllocatedBy(() => ControlCodec.TryDecode(bomb)), 0, 64 * 1024);
            }
        }
    }

    [Fact]
    public void TryDecode_EmptySubmessagesUpToTheLimit_AllocatesInProportion()
    {
        // AddPath with 32,766 empty pins; a client refuses more than two.
        byte[] pins = [.. Enumerable.Repeat<byte[]>([0x2a, 0x00], (ControlCodec.MaxFrameSize - 4) / 2).SelectMany(pin => pin)];
        byte[] message = [0x1a, .. Prefix(pins.Length), .. pins];

        Assert.InRange(message.Length, ControlCodec.MaxFrameSize - 8, ControlCodec.MaxFrameSize);
        Assert.InRange(AllocatedBy(() => Assert.NotNull(ControlCodec.TryDecode(message))), 0, 64 * ControlCodec.MaxFrameSize);
    }

    [Fact]
    public void TryDecode_TwoMegabytesOfEmptySubmessages_IsRefusedBeforeParsing()
    {
        byte[] message = [.. Enumerable.Repeat<byte[]>([0x52, 0x00], 1024 * 1024).SelectMany(body => body)];

        Assert.Null(ControlCodec.TryDecode(message));
        Assert.InRange(AllocatedBy(() => ControlCodec.TryDecode(message)), 0, 1024);
    }

    [Fact]
    public void TryDecode_LongerThanTheLimit_IsRefused()
    {
        Assert.NotNull(ControlCodec.TryDecode(FrameOfSize(ControlCodec.MaxFrameSize).ToByteArray()));
        Assert.Null(ControlCodec.TryDecode(FrameOfSize(ControlCodec.MaxFrameSize + 1).ToByteArray()));
    }

    /// <summary>
    /// The least of several attempts: a collection that another test sets off charges this thread with the unused rest of
    /// its allocation buffer.
    /// </summary>
    private static long AllocatedBy(Action work) => Enumerable.Range(0, 5).Min(_ =>
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        work();
        return GC.GetAllocatedBytesForCurrentThread() - before;
    });

    private static ControlFrame FrameOfSize(int size)
    {
        var frame = new ControlFrame { SessionClose = new() { Reason = new string('x', size - 16) } };
        frame.SessionClose.Reason += new string('x', size - frame.CalculateSize());
        Assert.Equal(size, frame.CalculateSize());
        return frame;
    }

    private static byte[] Prefix(int length)
    {
        var bytes = new byte[VarInt.MaxSize];
        return bytes[..VarInt.Write(bytes, (ulong)length)];
    }

    /// <summary>Every case of the oneof, each of its scalar fields set; a case that is added to the file is covered at once.</summary>
    private static IEnumerable<ControlFrame> FramesOfEveryBody()
    {
        foreach (FieldDescriptor body in ControlFrame.Descriptor.Oneofs[0].Fields)
        {
            var frame = new ControlFrame();
            body.Accessor.SetValue(frame, Filled(body.MessageType));
            yield return frame;
        }
    }

    private static IMessage Filled(MessageDescriptor type)
    {
        IMessage message = type.Parser.ParseFrom(ByteString.Empty);
        foreach (FieldDescriptor field in type.Fields.InDeclarationOrder())
        {
            if (field.IsRepeated)
            {
                var values = (System.Collections.IList)field.Accessor.GetValue(message);
                values.Add(field.FieldType == FieldType.Message ? Filled(field.MessageType) : Value(field));
            }
            else
            {
                field.Accessor.SetValue(message, field.FieldType == FieldType.Message ? Filled(field.MessageType) : Value(field));
            }
        }

        return message;
    }

    private static object Value(FieldDescriptor field) => field.FieldType switch
    {
        FieldType.UInt32 => 300u + (uint)field.FieldNumber,
        FieldType.UInt64 => 70_000UL + (ulong)field.FieldNumber,
        FieldType.Int64 => 70_000L + field.FieldNumber,
        FieldType.Bool => true,
        FieldType.String => "name",
        FieldType.Bytes => ByteString.CopyFrom(Values.Bytes(field.FieldNumber, 32)),
        FieldType.Enum => field.EnumType.Values[1].Number,
        _ => throw new NotSupportedException($"A control frame has a {field.FieldType}; give it a value here."),
    };
}

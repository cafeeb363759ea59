using System.Buffers;
using System.IO.Compression;
using System.IO.Pipelines;
using System.Text;
using Kwik.Streams;
using Xunit;

namespace Kwik.Testing;

/// <summary>
/// The bytes, whatever memory they lie in and however they are cut, and what the base library puts on top of a stream.
/// </summary>
public abstract partial class StreamConformanceTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public Task Bytes_CutAtRandomThroughEveryCall_ArriveAsTheyWere(int seed) => RunAsync(async (near, far) =>
    {
        byte[] up = Bytes(300_000, seed);
        byte[] down = Bytes(300_000, seed + 100);
        Task writingUp = WriteMixedAsync(near, up, new Random(seed));
        Task writingDown = WriteMixedAsync(far, down, new Random(seed + 1));
        Task<byte[]> readingUp = ReadMixedAsync(far, new Random(seed + 2));
        Task<byte[]> readingDown = ReadMixedAsync(near, new Random(seed + 3));
        await writingUp;
        await writingDown;
        Assert.Equal(up, await readingUp);
        Assert.Equal(down, await readingDown);
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public Task Bytes_InMemoryWithoutAnArray_ArriveAsTheyWere(bool blocking) => RunAsync(async (near, far) =>
    {
        using var source = new ForeignMemory(200_000);
        using var destination = new ForeignMemory(200_000);
        Bytes(200_000).CopyTo(source.Memory);
        Task writing = blocking
            ? OwnThread.RunAsync(() => near.Write(source.Memory.Span))
            : near.WriteAsync(source.Memory).AsTask();
        await (blocking
            ? OwnThread.RunAsync(() => far.ReadExactly(destination.Memory.Span))
            : far.ReadExactlyAsync(destination.Memory).AsTask());
        await writing;
        Assert.Equal(Bytes(200_000), destination.Memory.ToArray());
    });

    [Theory]
    [InlineData(1)]
    [InlineData(100)]
    [InlineData(70_000)]
    public Task Bytes_InSegmentsOfASequence_ArriveAsTheyWere(int size) => RunAsync(async (near, far) =>
    {
        byte[] all = Bytes(size * 20);
        Task<byte[]> reading = far.ReadToEndAsync();
        foreach (ReadOnlyMemory<byte> segment in StreamCalls.InSegments(all, size))
        {
            await near.WriteAsync(segment);
        }

        near.CompleteWrites();
        Assert.Equal(all, await reading);
    });

    [Fact]
    public Task TextReaderAndWriter_OnBothSides_UnderstandEachOther() => RunAsync(async (near, far) =>
    {
        await using var writer = new StreamWriter(near, leaveOpen: true) { AutoFlush = true };
        using var reader = new StreamReader(far, leaveOpen: true);
        for (int line = 0; line < 100; line++)
        {
            await writer.WriteLineAsync($"line {line} of möre than ASCII");
            Assert.Equal($"line {line} of möre than ASCII", await reader.ReadLineAsync());
        }

        near.CompleteWrites();
        Assert.Null(await reader.ReadLineAsync());
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public Task Pipes_OnBothSides_UnderstandEachOther(bool zeroByteReads) => RunAsync(async (near, far) =>
    {
        PipeWriter writer = PipeWriter.Create(near, new StreamPipeWriterOptions(leaveOpen: true));
        PipeReader reader = PipeReader.Create(far, new StreamPipeReaderOptions(leaveOpen: true, useZeroByteReads: zeroByteReads));
        Task<byte[]> reading = DrainAsync(reader);
        for (int offset = 0; offset < 300_000; offset += 10_000)
        {
            writer.Write(Bytes(300_000).AsSpan(offset, 10_000));
            await writer.FlushAsync();
        }

        await writer.CompleteAsync();
        near.CompleteWrites();
        Assert.Equal(Bytes(300_000), await reading);
        await reader.CompleteAsync();

        static async Task<byte[]> DrainAsync(PipeReader reader)
        {
            while (true)
            {
                ReadResult result = await reader.ReadAsync();
                if (result.IsCompleted)
                {
                    return result.Buffer.ToArray();
                }

                reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
            }
        }
    });

    [Fact]
    public Task Compression_OnBothSides_UnderstandsEachOther() => RunAsync(async (near, far) =>
    {
        byte[] text = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 20_000)));
        Task writing = CompressAsync(near, text);
        await using var decompressed = new GZipStream(far, CompressionMode.Decompress, leaveOpen: true);
        Assert.Equal(text, await decompressed.ReadToEndAsync());
        await writing;

        static async Task CompressAsync(KwikStream stream, byte[] text)
        {
            await using (var compressed = new GZipStream(stream, CompressionLevel.Fastest, leaveOpen: true))
            {
                await compressed.WriteAsync(text);
            }

            stream.CompleteWrites();
        }
    });

    [Fact]
    public Task BufferedStream_OnBothSides_UnderstandsEachOther() => RunAsync(async (near, far) =>
    {
        Task writing = OwnThread.RunAsync(() =>
        {
            var writer = new BinaryWriter(new BufferedStream(near, 1000));
            for (int number = 0; number < 5000; number++)
            {
                writer.Write(number);
            }

            writer.Flush();
            // The other side flushes when it is disposed, which a closed stream would not take.
            near.CompleteWrites();
        });
        await OwnThread.RunAsync(() =>
        {
            using var reader = new BinaryReader(new BufferedStream(far, 777));
            for (int number = 0; number < 5000; number++)
            {
                Assert.Equal(number, reader.ReadInt32());
            }

            Assert.Throws<EndOfStreamException>(() => reader.ReadByte());
        });
        await writing;
    });

    private static async Task WriteMixedAsync(KwikStream stream, byte[] bytes, Random random)
    {
        for (int offset = 0; offset < bytes.Length;)
        {
            StreamCall call = AnyCall(random);
            int count = Math.Min(AnySize(random, call), bytes.Length - offset);
            await stream.WriteAsync(call, bytes, offset, count);
            offset += count;
            if (random.Next(10) == 0)
            {
                await stream.FlushAsync();
            }
        }

        stream.CompleteWrites();
    }

    private static async Task<byte[]> ReadMixedAsync(KwikStream stream, Random random)
    {
        using var all = new MemoryStream();
        while (true)
        {
            StreamCall call = AnyCall(random);
            byte[] buffer = new byte[AnySize(random, call)];
            int read = await stream.ReadAsync(call, buffer);
            all.Write(buffer, 0, read);
            if (read == 0 && buffer.Length > 0)
            {
                return all.ToArray();
            }
        }
    }

    private static StreamCall AnyCall(Random random) => (StreamCall)random.Next(Enum.GetValues<StreamCall>().Length);

    private static int AnySize(Random random, StreamCall call) => call == StreamCall.Byte ? 20 : random.Next(4) switch
    {
        0 => random.Next(3),
        1 => random.Next(1000),
        _ => random.Next(100_000),
    };
}

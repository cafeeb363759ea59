using Xunit;

namespace Kwik.Testing;

/// <summary>Reading.</summary>
public abstract partial class StreamConformanceTests
{
    [Theory, MemberData(nameof(Calls))]
    public Task Read_FewerBytesThere_ReturnsThoseAndTouchesNoOthers(StreamCall call) => RunAsync(async (near, far) =>
    {
        byte[] buffer = new byte[20];
        Array.Fill(buffer, (byte)'-');
        Task<int> reading = near.ReadAsync(call, buffer, 5, 10);
        await far.WriteAsync("abc"u8.ToArray());
        int read = await reading;
        Assert.InRange(read, 1, 3);
        Assert.Equal([.. "-----"u8, .. "abc"u8[..read]], buffer[..(5 + read)]);
        Assert.All(buffer[(5 + read)..], b => Assert.Equal((byte)'-', b));
        Assert.Equal("abc"u8[read..].ToArray(), await near.TakeAsync(call, 3 - read));
    });

    [Theory, MemberData(nameof(BufferCalls))]
    public Task Read_SmallerThanWhatIsThere_LeavesTheRest(StreamCall call) => RunAsync(async (near, far) =>
    {
        await far.WriteAsync(Bytes(100));
        byte[] buffer = new byte[3];
        Assert.InRange(await near.ReadAsync(call, buffer), 1, 3);
        Assert.Equal(Bytes(100)[0], buffer[0]);
        await far.WriteAsync(Bytes(100, seed: 2));
        far.CompleteWrites();
        byte[] rest = await near.ReadToEndAsync();
        Assert.Equal([.. Bytes(100), .. Bytes(100, seed: 2)], (byte[])[.. buffer[..(200 - rest.Length)], .. rest]);
    });

    [Theory, MemberData(nameof(BufferCalls))]
    public Task Read_OfNoBytes_EndsWhenThereAreSomeAndTakesNone(StreamCall call) => RunAsync(async (near, far) =>
    {
        Task<int> waiting = near.ReadAsync(call, []);
        Assert.False(waiting.IsCompleted);
        await far.WriteAsync("hello"u8.ToArray());
        Assert.Equal(0, await waiting);
        Assert.Equal(0, await near.ReadAsync(call, []));
        Assert.Equal(0, await near.ReadAsync(call, new byte[4], 4, 0));
        Assert.Equal("he"u8.ToArray(), await near.TakeAsync(2));
        Assert.Equal(0, await near.ReadAsync(call, []));
        Assert.Equal("llo"u8.ToArray(), await near.TakeAsync(3));
    });

    [Theory, MemberData(nameof(BufferCalls))]
    public Task Read_OfNoBytes_EndsAtTheEnd(StreamCall call) => RunAsync(async (near, far) =>
    {
        Task<int> waiting = near.ReadAsync(call, []);
        Assert.False(waiting.IsCompleted);
        far.CompleteWrites();
        Assert.Equal(0, await waiting);
        Assert.Equal(0, await near.ReadAsync(call, []));
        Assert.Equal(-1, await OwnThread.RunAsync(near.ReadByte));
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Read_AtTheEnd_ReturnsNothingAgainAndAgain(StreamCall call) => RunAsync(async (near, far) =>
    {
        await WriteAllAsync(far, "end"u8.ToArray());
        Assert.Equal("end"u8.ToArray(), await near.TakeAsync(call, 3));
        byte[] buffer = [7];
        for (int time = 0; time < 5; time++)
        {
            Assert.Equal(0, await near.ReadAsync(call, buffer));
            Assert.Equal(7, buffer[0]);
        }

        // The other direction does not care.
        await near.WriteAsync(call, "on"u8.ToArray());
        Assert.Equal("on"u8.ToArray(), await far.TakeAsync(2));
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Read_PendingWhenTheEndComes_ReturnsNothing(StreamCall call) => RunAsync(async (near, far) =>
    {
        Task<int> reading = near.ReadAsync(call, new byte[1]);
        far.CompleteWrites();
        Assert.Equal(0, await reading);
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Read_OfAMessageInALargerBuffer_DoesNotWaitForMore(StreamCall call) => RunAsync(async (near, far) =>
    {
        byte[] buffer = new byte[1000];
        for (int round = 0; round < 5; round++)
        {
            byte[] message = Bytes(300, round);
            await far.WriteAsync(call, message);
            int have = 0;
            while (have < message.Length)
            {
                int read = await near.ReadAsync(call, buffer, have, buffer.Length - have);
                Assert.InRange(read, 1, message.Length - have);
                have += read;
            }

            Assert.Equal(message, buffer[..have]);
        }
    });

    [Fact]
    public Task ReadByte_EveryValue_ComesOutAsItWentIn() => RunAsync(async (near, far) =>
    {
        byte[] values = [.. Enumerable.Range(0, 256).Select(value => (byte)value)];
        await far.WriteAsync(StreamCall.Byte, values);
        far.CompleteWrites();
        await OwnThread.RunAsync(() => Assert.All(values, value => Assert.Equal(value, near.ReadByte())));
        Assert.Equal(-1, await OwnThread.RunAsync(near.ReadByte));
    });

    [Fact]
    public Task ReadExactly_OverManyWrites_FillsTheBuffer() => RunAsync(async (near, far) =>
    {
        byte[] first = new byte[1000];
        Task blocking = OwnThread.RunAsync(() => near.ReadExactly(first));
        for (int offset = 0; offset < 1000; offset += 100)
        {
            await far.WriteAsync(Bytes(1000).AsMemory(offset, 100));
        }

        await blocking;
        Assert.Equal(Bytes(1000), first);
        ValueTask reading = near.ReadExactlyAsync(first);
        await far.WriteAsync(Bytes(999, seed: 2));
        await far.WriteAsync(Bytes(1, seed: 3));
        await reading;
        Assert.Equal([.. Bytes(999, seed: 2), .. Bytes(1, seed: 3)], first);
        await near.ReadExactlyAsync(Memory<byte>.Empty);
    });

    [Fact]
    public Task ReadExactly_BeyondTheEnd_ThrowsEndOfStream() => RunAsync(async (near, far) =>
    {
        await WriteAllAsync(far, Bytes(3));
        await Assert.ThrowsAsync<EndOfStreamException>(() => near.ReadExactlyAsync(new byte[4]).AsTask());
        await Assert.ThrowsAsync<EndOfStreamException>(() => OwnThread.RunAsync(() => near.ReadExactly(new byte[1])));
        await near.ReadExactlyAsync(Memory<byte>.Empty);
    });

    [Fact]
    public Task ReadAtLeast_ReturnsAtLeastThat_OrWhatThereWasBeforeTheEnd() => RunAsync(async (near, far) =>
    {
        byte[] buffer = new byte[100];
        Task<int> reading = near.ReadAtLeastAsync(buffer, 10).AsTask();
        await far.WriteAsync(Bytes(9));
        Assert.False(reading.IsCompleted);
        await far.WriteAsync(Bytes(5, seed: 2));
        int read = await reading;
        Assert.InRange(read, 10, 14);
        byte[] rest = await near.TakeAsync(14 - read);
        Assert.Equal([.. Bytes(9), .. Bytes(5, seed: 2)], (byte[])[.. buffer[..read], .. rest]);

        await WriteAllAsync(far, Bytes(3));
        Assert.Equal(3, await near.ReadAtLeastAsync(buffer, 10, throwOnEndOfStream: false));
        Assert.Equal(0, await OwnThread.RunAsync(() => near.ReadAtLeast(buffer, 10, throwOnEndOfStream: false)));
        await Assert.ThrowsAsync<EndOfStreamException>(() => near.ReadAtLeastAsync(buffer, 1).AsTask());
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Read_WhileAnotherIsPending_ThrowsAndLeavesThatAlone(StreamCall call) => RunAsync(async (near, far) =>
    {
        byte[] buffer = new byte[5];
        Task<int> first = near.ReadAsync(buffer).AsTask();
        await Assert.ThrowsAsync<InvalidOperationException>(() => near.ReadAsync(call, new byte[5]));
        await far.WriteAsync("first"u8.ToArray());
        int read = await first;
        await far.WriteAsync("second"u8.ToArray());
        byte[] rest = await near.TakeAsync(11 - read);
        Assert.Equal("firstsecond"u8.ToArray(), (byte[])[.. buffer[..read], .. rest]);
    });
}

using System.Security.Cryptography;

namespace Kwik.Architecture.Tests;

/// <summary>The samples with two sides, each side a process of its own.</summary>
public sealed class PublicStreamSampleTests : IDisposable
{
    // Several of the receiver's notices, each after 4 MiB.
    private const int FileSize = 10_000_000;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("kwik-samples-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task SendFile_WithoutArguments_SendsOnceAndIsRefusedOnce()
    {
        using SampleProcess sample = SampleProcess.Start(_folder.FullName, "SendFile");

        (int code, string output) = await sample.EndAsync();

        Assert.True(code == 0, output);
        string[] lines = output.TrimEnd().Split('\n');
        Assert.Single(lines, line => line.StartsWith("Whole: ", StringComparison.Ordinal));
        Assert.Matches("^Stopped after [0-9]+ of [0-9]+ bytes, code 4: No more than [0-9]+ bytes are taken.$", lines[^1]);
    }

    [Fact]
    public async Task SendFile_ThatFits_IsStoredWholeAndSaysSo()
    {
        byte[] bytes = await WriteFileAsync("some.bin");
        using SampleProcess receiver = Receive(FileSize, out Task<string[]> address);

        (int code, string output) = await SendAsync(await address, "some.bin");

        Assert.Equal(0, code);
        Assert.Equal(
            $"""
            Receiver: 4 MiB are stored.
            Receiver: 8 MiB are stored.
            Whole: {FileSize} bytes, SHA-256 {Convert.ToHexStringLower(SHA256.HashData(bytes))}

            """,
            output);
        Assert.Equal(bytes, await File.ReadAllBytesAsync(Path.Combine(_folder.FullName, "received", "some.bin")));
    }

    [Fact]
    public async Task SendFile_ThatDoesNotFit_IsStoppedInTheMiddle()
    {
        await WriteFileAsync("some.bin");
        using SampleProcess receiver = Receive(5_000_000, out Task<string[]> address);

        (int code, string output) = await SendAsync(await address, "some.bin");

        Assert.Equal(1, code);
        string[] lines = output.TrimEnd().Split('\n');
        Assert.Equal(2, lines.Length);
        Assert.Equal("Receiver: 4 MiB are stored.", lines[0]);
        Assert.Matches("^Stopped after [0-9]+ of 10000000 bytes, code 4: No more than 5000000 bytes are taken.$", lines[1]);
        Assert.Empty(Directory.GetFiles(Path.Combine(_folder.FullName, "received"), "some.bin"));
    }

    [Theory]
    [InlineData("there.bin", "code 3: There is such a file already.")]
    [InlineData(".hidden", "code 2: The name is not that of a plain file.")]
    [InlineData("nul.txt", "code 2: The name is not that of a plain file.")]
    public async Task SendFile_OfANameThatIsRefused_SaysWhy(string name, string reason)
    {
        await WriteFileAsync(name);
        await File.WriteAllTextAsync(Path.Combine(_folder.CreateSubdirectory("received").FullName, "there.bin"), "mine");
        using SampleProcess receiver = Receive(FileSize, out Task<string[]> address);

        (int code, string output) = await SendAsync(await address, name);

        Assert.Equal(1, code);
        Assert.EndsWith($" of {FileSize} bytes, {reason}\n", output, StringComparison.Ordinal);
        Assert.Equal("mine", await File.ReadAllTextAsync(Path.Combine(_folder.FullName, "received", "there.bin")));
    }

    [Fact]
    public async Task Chat_WithoutArguments_ShowsAConversation()
    {
        using SampleProcess sample = SampleProcess.Start(_folder.FullName, "Chat");

        (int code, string output) = await sample.EndAsync();

        Assert.Equal(0, code);
        Assert.Equal(
            """
            Bob sees    > Hello, Bob.
            Alice sees  > Hello, Alice. How are you?
            Bob sees    > bye
            Bob sees    They have left; nothing can be sent any more.
            Bob sees    Not sent: BrokenPipe

            """,
            output);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Chat_AfterOneSaysBye_FailsWithBrokenPipeForTheOther(bool callerLeaves)
    {
        using SampleProcess listening = SampleProcess.Start(_folder.FullName, "Chat", "listen");
        string[] address = AddressIn(await listening.ReadLineAsync());
        using SampleProcess calling = SampleProcess.Start(_folder.FullName, "Chat", ["call", .. address]);
        Assert.Equal("Connected. To leave: bye", await calling.ReadLineAsync());
        Assert.Equal("Somebody is here. To leave: bye", await listening.ReadLineAsync());
        (SampleProcess leaving, SampleProcess staying) = callerLeaves ? (calling, listening) : (listening, calling);

        await leaving.TypeAsync("Hello \e[31mthere");
        Assert.Equal("> Hello \uFFFD[31mthere", await staying.ReadLineAsync());
        await staying.TypeAsync("Here I am.");
        Assert.Equal("> Here I am.", await leaving.ReadLineAsync());
        await leaving.TypeAsync("bye");
        Assert.Equal((0, ""), await leaving.EndAsync());

        Assert.Equal("> bye", await staying.ReadLineAsync());
        Assert.Equal("They have left; nothing can be sent any more.", await staying.ReadLineAsync());
        await staying.TypeAsync("Wait!");
        Assert.Equal((0, "Not sent: BrokenPipe\n"), await staying.EndAsync());
    }

    /// <summary>Starts a receiver; the address is what a sender needs to know of it.</summary>
    private SampleProcess Receive(long maxBytes, out Task<string[]> address)
    {
        SampleProcess receiver = SampleProcess.Start(_folder.FullName, "SendFile", "receive", "127.0.0.1:0", "received", $"{maxBytes}");
        address = ReadAddressAsync();
        return receiver;

        async Task<string[]> ReadAddressAsync() => AddressIn(await receiver.ReadLineAsync());
    }

    private async Task<(int Code, string Output)> SendAsync(string[] address, string name)
    {
        using SampleProcess sender = SampleProcess.Start(_folder.FullName, "SendFile", ["send", .. address, name]);
        return await sender.EndAsync();
    }

    /// <summary>"Listening. At the other side: SAMPLE COMMAND ADDRESS PIN": the address and the pin.</summary>
    private static string[] AddressIn(string line) => line.Split(' ')[7..9];

    private async Task<byte[]> WriteFileAsync(string name)
    {
        byte[] bytes = RandomNumberGenerator.GetBytes(FileSize);
        await File.WriteAllBytesAsync(Path.Combine(_folder.FullName, name), bytes);
        return bytes;
    }
}
